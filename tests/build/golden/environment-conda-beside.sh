set -eu
. /run/binder/environment
if [ -f /run/credentials/netrc ]; then export NETRC=/run/credentials/netrc; fi
export UV_CACHE_DIR=/run/packages UV_CREDENTIALS_DIR=/run/packages/credentials TMPDIR=/run/packages
export UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=0 PYTHONHASHSEED=0
# Packages' own tests, a third of all files, are imported by nobody who opens a notebook.
compile() { /usr/bin/python3 -s -S -P -m compileall -qq -j 0 -x '/tests?/' --invalidation-mode unchecked-hash "$@" || true; }
PYTHONPATH=/run/python /usr/bin/python3 -B /run/asked/conda.py install /run/asked/conda.json /opt/binder/conda /run/packages/conda
uv venv --quiet --python /usr/bin/python3 /opt/binder/env
uv pip install --config-file /run/binder/uv.toml --python /opt/binder/env --no-deps --no-build --requirements /run/asked/requirements.lock
compile /opt/binder/env/lib
mkdir -p /opt/binder/env/share/jupyter/lab/settings
echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' \
    >/opt/binder/env/share/jupyter/lab/settings/overrides.json
cat >/opt/binder/conda-entrypoint <<'END'
#!/bin/sh
for file in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
    if [ -f "$file" ]; then . "$file"; fi
done
exec "$@"
END
chmod 755 /opt/binder/conda-entrypoint
install -m 644 /run/asked/binder.lock /opt/binder/binder.lock
PYTHONPATH= /usr/bin/python3 -I -S /run/asked/inventory.py
wait
rm -f /tmp/known
echo "--- size ---"
du -sb /opt/binder | cut -f 1
