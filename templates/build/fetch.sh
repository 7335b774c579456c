# Fetches one commit into a bare repository, and prints its tree, its time and its files.
# Arguments: the bare repository, the address to fetch from, the commit's sha.
# One fetch at a time is at a repository; what a fetch that was killed left half made or locked is made again.
set -eu
exec 9>"$1.lock"
flock 9
if [ ! -e "$1/made" ]; then
    rm -rf "$1"
    git init --quiet --bare "$1"
    touch "$1/made"
fi
if ! git cat-file -e "$3^{commit}" 2>/dev/null; then
    rm -f "$1/shallow.lock"
    git fetch --quiet --depth=1 --no-tags --no-write-fetch-head --no-recurse-submodules -- "$2" "$3"
fi
commit=$(git rev-parse --verify --quiet "$3^{commit}") || { echo "$3 is no commit"; exit 1; }
git show --no-patch --format='%T%n%ct' "$commit"
git ls-tree -r -l -z "$commit"
