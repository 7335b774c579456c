# Installs our own wheel beside what it needs, offline, and looks whether all of that is there and fits.
set -eu
. /run/binder/environment
export UV_CACHE_DIR=/tmp/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=0
uv pip install --quiet --python /opt/service/bin/python --offline --no-index --no-deps /run/asked/*.whl
uv pip check --quiet --python /opt/service/bin/python
cd /opt/service/lib/python3*/site-packages
sed -n 's/^\([^,"]*\.py\),.*/\1/p' binder-*.dist-info/RECORD >/tmp/ours
/usr/bin/python3 -I -m compileall -qq -i /tmp/ours --invalidation-mode unchecked-hash
rm -rf /tmp/uv /tmp/ours /opt/service/.lock
install -m 0644 /run/asked/debian.sources /etc/apt/sources.list.d/
install -d -o 1000 -g 1000 -m 0700 /var/lib/binder /var/cache/binder
/opt/service/bin/binder --version
