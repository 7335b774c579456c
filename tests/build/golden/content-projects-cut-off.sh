set -eu
. /run/binder/environment
cd /home/jovyan
not_installed() { echo "--- not installed: $1"; exit 1; }
# What they are built with was resolved before, and fetched: it is taken from the folder of packages, of which this step
# has a copy on write. Nothing may depend on when it runs, so that the same files are the same image.
export PYTHONHASHSEED=0 SOURCE_DATE_EPOCH=315532800
build() {
    TMPDIR=/run/packages UV_LINK_MODE=copy uv pip install --quiet --python /opt/binder/env --no-deps --cache-dir /run/packages "$@"
}
install() {
    file=$1
    shift
    if build --offline "$@" >/run/packages/said 2>&1; then return; fi
    cat /run/packages/said
    not_installed "$file"
}
install pyproject.toml --no-config --build-constraints /run/asked/0.lock \
    --requirements /run/asked/0.indexes --editable ./
install 'lib/a b'"'"'s/setup.py' --config-file /run/binder/uv.toml --build-constraints /run/asked/1.lock \
    './lib/a b'"'"'s'
install wheels/x-1.0-py3-none-any.whl --config-file /run/binder/uv.toml --build-constraints /run/asked/2.lock \
    ./wheels/x-1.0-py3-none-any.whl
unset PYTHONHASHSEED SOURCE_DATE_EPOCH
# It says when the files were made that were installed: uv has no use for it here.
for cached in /opt/binder/env/lib/python3*/site-packages/*.dist-info/uv_cache.json; do
    if [ ! -f "$cached" ]; then continue; fi
    sed -i '\#/uv_cache\.json,#d' "${cached%/*}/RECORD"
    rm "$cached"
done
/usr/bin/python3 -I -S /run/asked/inventory.py || true
