{# What the author wants done with the files in place: the repository's own packages are installed, then postBuild runs.
   It is code of the repository's: it gets no credentials of the host. #}
set -eu
. /run/binder/environment
cd {{ home }}
{% for project in projects %}
uv pip install --quiet --python {{ python }} --no-deps --cache-dir /tmp/uv {{ "--editable " if project.editable }}{{ ("./" ~ project.path)|shell }}
{% endfor %}
{% if projects %}
rm -rf /tmp/uv
{% endif %}
{% if r_package %}
mkdir -p "$R_LIBS_USER"
R CMD INSTALL --clean --no-docs .
{% endif %}
{% if post_build %}
exec ./{{ post_build|shell }}
{% endif %}
