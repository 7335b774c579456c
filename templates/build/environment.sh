{# Makes an environment, or exchanges some of the packages of an earlier one. It runs in the build's container as the
   user of the image. The settings of the host come in by mounts that end with it, and stay out of the image.
   Where the folder of packages is everybody's, nothing that was installed may run: so the files are compiled by
   Debian's Python, and without its site, which would run what an installed .pth file says. Where something installed
   runs (a delta, Conda's own Python, a package that is built), the folder is a copy on write that ends with it. #}
set -eu
. /run/binder/environment
if [ -f /run/credentials/netrc ]; then export NETRC=/run/credentials/netrc; fi
export UV_CACHE_DIR=/run/packages UV_CREDENTIALS_DIR=/run/packages/credentials TMPDIR=/run/packages
export UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=0 PYTHONHASHSEED=0
# Packages' own tests, a third of all files, are imported by nobody who opens a notebook.
compile() { {{ compiler }} -s -S -P -m compileall -qq -j 0 -x '/tests?/' --invalidation-mode unchecked-hash "$@" || true; }
{% if method == "delta" %}
touch /tmp/before
uv pip sync --quiet {{ uv }} --python {{ python }} --no-build /run/asked/requirements.lock
for record in $(find {{ python }}/lib/python3*/site-packages/*.dist-info/RECORD -maxdepth 0 -cnewer /tmp/before); do
    sed -n "s#^\([^,\"]*\.py\),.*#${record%/*/*}/\1#p" "$record"
done >/tmp/changed
# Starting others to help costs more than a few files do.
if [ "$(wc -l </tmp/changed)" -gt 200 ]; then compile -f -i - </tmp/changed
elif [ -s /tmp/changed ]; then compile -j 1 -f -i - </tmp/changed; fi
rm /tmp/before /tmp/changed
# uv removes what was compiled of a package's folder, but not of a module that lies beside them.
for compiled in {{ python }}/lib/python3*/site-packages/__pycache__/*.pyc; do
    name=${compiled##*/}
    if [ ! -e "${compiled%/*/*}/${name%.cpython-*}.py" ]; then rm -f "$compiled"; fi
done
{% else %}
{% if conda %}
PYTHONPATH=/run/python /usr/bin/python3 -B /run/asked/conda.py install /run/asked/conda.json {{ prefix }}/conda /run/packages/conda
{% endif %}
{% if python != prefix ~ "/conda" %}
uv venv --quiet --python /usr/bin/python3 {{ python }}
{% endif %}
{% if method == "whole" and not conda and not r %}
# What is known of the packages is kept for the next who asks for nearly the same; nothing of it is run.
uv pip compile --quiet {{ uv }} --no-build --python {{ python }} --output-file /tmp/known /run/asked/requirements.lock || true &
{% endif %}
uv pip install {{ uv }} --python {{ python }} --no-deps {{ "" if method == "built" else "--no-build " }}--requirements /run/asked/requirements.lock
compile {{ python }}/lib
mkdir -p {{ python }}/share/jupyter/lab/settings
echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' \
    >{{ python }}/share/jupyter/lab/settings/overrides.json
{% endif %}
{% if conda %}
cat >{{ prefix }}/conda-entrypoint <<'END'
#!/bin/sh
for file in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
    if [ -f "$file" ]; then . "$file"; fi
done
exec "$@"
END
chmod 755 {{ prefix }}/conda-entrypoint
{% endif %}
install -m 644 /run/asked/binder.lock {{ prefix }}/binder.lock
{% if r %}
PATH={{ python }}/bin:$PATH sh /run/asked/r.sh
{% endif %}
PYTHONPATH= /usr/bin/python3 -I -S /run/asked/inventory.py
{% if method != "delta" %}
wait
rm -f /tmp/known
echo "--- size ---"
du -sb {{ prefix }} | cut -f 1
{% endif %}
