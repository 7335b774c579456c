# Fetches what a project is built with into the folder of packages that all builds share, from where it is taken without
# a network. Only wheels are fetched, and nothing of them is run. Arguments: options of `uv pip install`, after a name.
set -eu
. /run/binder/environment
if [ -f /run/credentials/netrc ]; then export NETRC=/run/credentials/netrc; fi
export UV_CACHE_DIR=/run/packages UV_CREDENTIALS_DIR=/run/packages/credentials TMPDIR=/run/packages
export UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=0
name=$1
shift
# With what they need, although all is pinned: what is known of each is wanted later, too.
uv pip install --quiet --no-build --python /usr/bin/python3 --target /tmp/fetched "$@" \
    --requirements /run/asked/requirements.lock
# It lies beside what it tells of, and goes with that.
mkdir -p /run/packages/fetched
touch "/run/packages/fetched/$name"
