# Resolves what is asked of PyPI to exact packages, in a container of its own: a package that must be built to tell what
# it needs runs code of the repository's choice, and keeps nothing but what it says.
# Arguments: those of `uv pip compile`. Prints the lock behind a line that says so.
set -eu
. /run/binder/environment
if [ -f /run/credentials/netrc ]; then export NETRC=/run/credentials/netrc; fi
mkdir /tmp/asked
if [ -f /run/tree.tar ]; then tar -xf /run/tree.tar -C /tmp/asked --strip-components=2 --no-same-owner; fi
cp -r --remove-destination /run/asked/files/. /tmp/asked
cd /tmp/asked
uv pip compile --quiet --no-header --no-annotate --generate-hashes --no-emit-index-url \
    --cache-dir /run/packages --output-file /tmp/lock "$@"
echo "--- lock ---"
cat /tmp/lock
