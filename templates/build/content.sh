{# What the author wants done with the files in place: the repository's own packages are installed, then postBuild runs.
   It is code of the repository's: it gets no credentials of the host. What is there then is listed, if it can be. #}
set -eu
. /run/binder/environment
cd {{ home }}
{% if projects or r_package %}
not_installed() { echo "--- not installed: $1"; exit 1; }
{% endif %}
{% if projects %}
# What they are built with was resolved before, and fetched: it is taken from the folder of packages, of which this step
# has a copy on write. Nothing may depend on when it runs, so that the same files are the same image.
export PYTHONHASHSEED=0 SOURCE_DATE_EPOCH={{ epoch }}
build() {
    TMPDIR=/run/packages UV_LINK_MODE=copy uv pip install --quiet --python {{ python }} --no-deps --cache-dir /run/packages "$@"
}
install() {
    file=$1
    shift
    if build --offline "$@" >/run/packages/said 2>&1; then return; fi
{% if has_network %}
    if grep -Eqi "network (was|connectivity is) disabled" /run/packages/said; then
        echo "Not all that $file is built with is known before, or has a wheel: the rest is fetched now."
        if build {{ "--exclude-newer " ~ newest|shell if newest }} "$@"; then return; fi
        not_installed "$file"
    fi
{% endif %}
    cat /run/packages/said
    not_installed "$file"
}
{% for project in projects %}
{% set options = index_options[project.path] %}
install {{ manifests[project.path]|shell }} {{ uv_options(options)|join(" ") }} --build-constraints /run/asked/{{ loop.index0 }}.lock \
    {{ "--requirements /run/asked/" ~ loop.index0 ~ ".indexes " if options }}{{ "--editable " if project.editable }}{{ ("./" ~ project.path)|shell }}
{% endfor %}
unset PYTHONHASHSEED SOURCE_DATE_EPOCH
# It says when the files were made that were installed: uv has no use for it here.
for cached in {{ python }}/lib/python3*/site-packages/*.dist-info/uv_cache.json; do
    if [ ! -f "$cached" ]; then continue; fi
    sed -i '\#/uv_cache\.json,#d' "${cached%/*}/RECORD"
    rm "$cached"
done
{% endif %}
{% if r_package %}
mkdir -p "$R_LIBS_USER"
R CMD INSTALL --clean --no-docs . || not_installed DESCRIPTION
{% endif %}
{% if post_build %}
(exec ./{{ post_build|shell }})
{% endif %}
/usr/bin/python3 -I -S /run/asked/inventory.py || true
