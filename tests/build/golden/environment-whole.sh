set -eu
. /run/binder/environment
if [ -f /run/credentials/netrc ]; then export NETRC=/run/credentials/netrc; fi
export UV_CACHE_DIR=/run/packages UV_CREDENTIALS_DIR=/run/packages/credentials TMPDIR=/run/packages
export UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=0 PYTHONHASHSEED=0
# Packages' own tests, a third of all files, are imported by nobody who opens a notebook.
compile() { /usr/bin/python3 -s -S -P -m compileall -qq -j 0 -x '/tests?/' --invalidation-mode unchecked-hash "$@" || true; }
uv venv --quiet --python /usr/bin/python3 /opt/binder/env
# What is known of the packages is kept for the next who asks for nearly the same; nothing of it is run.
uv pip compile --quiet --config-file /run/binder/uv.toml --no-build --python /opt/binder/env --output-file /tmp/known /run/asked/requirements.lock || true &
uv pip install --config-file /run/binder/uv.toml --python /opt/binder/env --no-deps --no-build --requirements /run/asked/requirements.lock
compile /opt/binder/env/lib
mkdir -p /opt/binder/env/share/jupyter/lab/settings
echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' \
    >/opt/binder/env/share/jupyter/lab/settings/overrides.json
install -m 644 /run/asked/binder.lock /opt/binder/binder.lock
PYTHONPATH= /usr/bin/python3 -I -S /run/asked/inventory.py
wait
rm -f /tmp/known
echo "--- size ---"
du -sb /opt/binder | cut -f 1
