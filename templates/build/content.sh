{# What the author wants done with the files in place: the repository's own packages are installed, then postBuild runs.
   It is code of the repository's: it gets no credentials of the host. What is there then is listed, if it can be. #}
set -eu
. /run/binder/environment
cd {{ home }}
{% if projects or r_package %}
not_installed() { echo "--- not installed: $1"; exit 1; }
{% endif %}
{% if projects %}
mkdir /tmp/uv
{% for project in projects %}
TMPDIR=/tmp/uv uv pip install --quiet --python {{ python }} --no-deps --cache-dir /tmp/uv/cache {{ "--editable " if project.editable }}{{ ("./" ~ project.path)|shell }} \
    || not_installed {{ manifests[project.path]|shell }}
{% endfor %}
rm -rf /tmp/uv
{% endif %}
{% if r_package %}
mkdir -p "$R_LIBS_USER"
R CMD INSTALL --clean --no-docs . || not_installed DESCRIPTION
{% endif %}
{% if post_build %}
(exec ./{{ post_build|shell }})
{% endif %}
/usr/bin/python3 -I -S /run/asked/inventory.py || true
