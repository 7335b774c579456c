set -eu
. /run/binder/environment
cd /home/jovyan
not_installed() { echo "--- not installed: $1"; exit 1; }
mkdir /tmp/uv
TMPDIR=/tmp/uv uv pip install --quiet --python /opt/binder/env --no-deps --cache-dir /tmp/uv/cache --editable ./ \
    || not_installed pyproject.toml
TMPDIR=/tmp/uv uv pip install --quiet --python /opt/binder/env --no-deps --cache-dir /tmp/uv/cache './lib/a b'"'"'s' \
    || not_installed 'lib/a b'"'"'s/setup.py'
TMPDIR=/tmp/uv uv pip install --quiet --python /opt/binder/env --no-deps --cache-dir /tmp/uv/cache ./wheels/x-1.0-py3-none-any.whl \
    || not_installed wheels/x-1.0-py3-none-any.whl
rm -rf /tmp/uv
/usr/bin/python3 -I -S /run/asked/inventory.py || true
