set -eu
. /run/binder/environment
if [ -f /run/credentials/netrc ]; then export NETRC=/run/credentials/netrc; fi
export UV_CACHE_DIR=/run/packages UV_CREDENTIALS_DIR=/run/packages/credentials TMPDIR=/run/packages
export UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=0 PYTHONHASHSEED=0
# Packages' own tests, a third of all files, are imported by nobody who opens a notebook.
compile() { /usr/bin/python3 -s -S -P -m compileall -qq -j 0 -x '/tests?/' --invalidation-mode unchecked-hash "$@" || true; }
touch /tmp/before
uv pip sync --quiet --config-file /run/binder/uv.toml --python /opt/binder/env --no-build /run/asked/requirements.lock
for record in $(find /opt/binder/env/lib/python3*/site-packages/*.dist-info/RECORD -maxdepth 0 -cnewer /tmp/before); do
    sed -n "s#^\([^,\"]*\.py\),.*#${record%/*/*}/\1#p" "$record"
done >/tmp/changed
# Starting others to help costs more than a few files do.
if [ "$(wc -l </tmp/changed)" -gt 200 ]; then compile -f -i - </tmp/changed
elif [ -s /tmp/changed ]; then compile -j 1 -f -i - </tmp/changed; fi
rm /tmp/before /tmp/changed
# uv removes what was compiled of a package's folder, but not of a module that lies beside them.
for compiled in /opt/binder/env/lib/python3*/site-packages/__pycache__/*.pyc; do
    name=${compiled##*/}
    if [ ! -e "${compiled%/*/*}/${name%.cpython-*}.py" ]; then rm -f "$compiled"; fi
done
install -m 644 /run/asked/binder.lock /opt/binder/binder.lock
PYTHONPATH= /usr/bin/python3 -I -S /run/asked/inventory.py
