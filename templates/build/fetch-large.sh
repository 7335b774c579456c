# Fetches content that Git LFS keeps into a bare repository ($GIT_DIR). Argument: the most bytes that a file may have.
# Reads a listing of the pointers that are wanted, as `git mktree` takes it: git-lfs sees these, and nothing else.
set -eu
exec 9>"$GIT_DIR.lock"
flock 9
rm -rf "$GIT_DIR/lfs/tmp" "$GIT_DIR/lfs/incomplete"
tree=$(git mktree --missing)
rm -f "$GIT_DIR.failed"
trap '' XFSZ # to git-lfs, a file that is too large is an error like others
{ prlimit --fsize="$1" git lfs fetch origin "$tree" 2>&1 || touch "$GIT_DIR.failed"; } | tail -c 60000 >"$GIT_DIR.said"
if [ -e "$GIT_DIR.failed" ]; then cat "$GIT_DIR.said"; exit 1; fi
