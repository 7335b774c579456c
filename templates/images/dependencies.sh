# Installs what the service needs of Python's packages, as root, into a folder that its user cannot write to.
set -eu
. /run/binder/environment
if [ -f /run/credentials/netrc ]; then export NETRC=/run/credentials/netrc; fi
export UV_CACHE_DIR=/tmp/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=0 PYTHONHASHSEED=0
uv venv --quiet --python /usr/bin/python3 /opt/service
uv pip sync --quiet --config-file /run/binder/uv.toml --python /opt/service/bin/python --no-build --require-hashes \
    /run/asked/requirements.txt
# All files of a layer get one time, which would make ordinary bytecode stale.
/usr/bin/python3 -I -m compileall -qq -x '/tests?/' --invalidation-mode unchecked-hash /opt/service/lib || true
rm -rf /tmp/uv /opt/service/.lock
