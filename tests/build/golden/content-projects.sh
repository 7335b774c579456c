set -eu
. /run/binder/environment
cd /home/jovyan
mkdir /tmp/uv
TMPDIR=/tmp/uv uv pip install --quiet --python /opt/binder/env --no-deps --cache-dir /tmp/uv/cache --editable ./
TMPDIR=/tmp/uv uv pip install --quiet --python /opt/binder/env --no-deps --cache-dir /tmp/uv/cache './lib/a b'"'"'s'
TMPDIR=/tmp/uv uv pip install --quiet --python /opt/binder/env --no-deps --cache-dir /tmp/uv/cache ./wheels/x-1.0-py3-none-any.whl
rm -rf /tmp/uv
