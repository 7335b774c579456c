# Fetches one commit into a bare repository, and prints its tree, its time and its files.
# Arguments: the bare repository, the address to fetch from, the commit's sha.
set -eu
[ -e "$1/HEAD" ] || git init --quiet --bare "$1"
git cat-file -e "$3^{tree}" 2>/dev/null ||
    git fetch --quiet --depth=1 --no-tags --no-write-fetch-head --no-recurse-submodules -- "$2" "$3"
git show --no-patch --format='%T%n%ct' "$3"
git ls-tree -r -l -z "$3"
