# Fetches one commit into a bare repository, and prints its tree, its time and its files.
# Arguments: the bare repository, the address to fetch from, the commit's sha, the most bytes that a pack may have.
# One fetch at a time is at a repository; what a fetch that was killed left half made or locked is made again.
set -eu
exec 9>"$1.lock"
flock 9
if [ ! -e "$1/made" ]; then
    rm -rf "$1"
    git init --quiet --bare "$1"
fi
touch "$1/made" # its time is when the repository was last of use
if ! commit=$(git rev-parse --verify --quiet "$3^{commit}" 2>/dev/null); then
    rm -f "$1/shallow.lock" "$1"/objects/pack/tmp_*
    # The commit that came last is kept known by a name: the server then sends only what is new since.
    # What git warns of must not get into the listing, and must not be without end.
    rm -f "$1.failed"
    trap '' XFSZ # to git, a file that is too large is an error like others
    {
        prlimit --fsize="$4" git fetch --quiet --depth=1 --no-tags --no-write-fetch-head --no-recurse-submodules \
            -- "$2" "$3" 2>&1 || touch "$1.failed"
    } | tail -c 60000 >"$1.said"
    if [ -e "$1.failed" ]; then cat "$1.said"; exit 1; fi
    commit=$(git rev-parse --verify --quiet "$3^{commit}") || { echo "$3 is no commit"; exit 1; }
    rm -f "$1/refs/binder/last.lock"
    git update-ref refs/binder/last "$commit"
    set -- "$1"/objects/pack/*.pack
    if [ $# -gt 20 ]; then git repack --quiet --geometric=2 -d >/dev/null 2>&1 || true; fi
fi
exec 9>&-
exec 2>/dev/null
git rev-list --max-count=1 --no-commit-header --format='%T%n%ct' "$commit"
git ls-tree -r -l -z "$commit" || { echo; echo "git ls-tree died of signal 11"; exit 1; }
