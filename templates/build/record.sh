# Takes one version of a record into a bare repository, and prints its tree, its time and its files.
# Arguments: the bare repository, what stands for the version, the most bytes, and what is to be run to take the files
# (`record.py`, which reads them), or nothing where it is only to be seen whether the version is there: else it ends by 9.
# One at a time is at a repository; what was killed is taken anew.
set -eu
exec 9>"$1.lock"
flock 9
if [ ! -e "$1/made" ]; then
    rm -rf "$1"
    git init --quiet --bare "$1"
fi
touch "$1/made" # its time is when the repository was last of use
if ! commit=$(git rev-parse --verify --quiet "refs/records/$2^{commit}" 2>/dev/null); then
    [ "$4" ] || exit 9
    rm -f "$1"/objects/pack/tmp_*
    trap '' XFSZ # to git, a file that is too large is an error like others
    rm -f "$1.failed"
    {
        prlimit --fsize="$3" python3 -I -S -B -c "$4" "$1" "refs/records/$2" "$3" 2>&1 || touch "$1.failed"
    } | tail -c 60000 >"$1.said"
    if [ -e "$1.failed" ]; then cat "$1.said"; exit 1; fi
    commit=$(git rev-parse --verify --quiet "refs/records/$2^{commit}")
fi
exec 9>&-
exec 2>/dev/null
git rev-list --max-count=1 --no-commit-header --format='%T%n%ct' "$commit"
git ls-tree -r -l -z "$commit" || { echo; echo "git ls-tree died of signal 11"; exit 1; }
