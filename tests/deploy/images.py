"""Images whose server does something else than serve, made of a real one."""

import asyncio
import json
import os
from collections.abc import Mapping

from tests.builds import Builder

ENTRY_POINTS: Mapping[str, list[str]] = {
    "leaves": ["/bin/sh", "-c", "echo I am leaving; exit 3"],
    "waits": ["/bin/sh", "-c", "exec sleep 600"],
    "in-the-way": ["/bin/sh", "-c", 'touch /tmp/binder; exec "$0" "$@"'],
    "grows": ["/usr/bin/python3", "-c", "kept = [bytes([1]) * 2**20 for _ in range(2**20)]"],
    "kernelless": [
        "/bin/sh",
        "-c",
        "mkdir -p /tmp/own; echo 'raise SystemExit(\"No kernel today\")' >/tmp/own/ipykernel_launcher.py; "
        'export PYTHONPATH=/tmp/own; exec "$0" "$@"',
    ],
    "lies": [
        "/usr/bin/python3",
        "-c",
        "import http.server as h\n"
        "class Liar(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        '        self.send_response(200); self.end_headers(); self.wfile.write(b\'{"id": "../../x"}\')\n'
        "    do_POST = do_GET\n"
        "h.HTTPServer(('', 8888), Liar).serve_forever()\n",
    ],
}
"""What the servers of the images do: name → entry point, which is also given Jupyter's arguments."""

_RUNS = ["/bin/sh", "-c", 'case "$*" in *ServerApp*) exec sleep 600;; esac; exec "$0" "$@"']
"""No server that is told how to be one, but whatever else it is told to run."""

CLUSTER_ENTRY_POINTS: Mapping[str, list[str]] = {
    "leaves": ["/bin/sh", "-c", "echo I am leaving; exit 3"],
    "waits": ["/bin/sh", "-c", "exec sleep 600"],
    "small": _RUNS,
    "grows": ["/bin/sh", "-c", "exec tail /dev/zero"],
    "fills": ["/bin/sh", "-c", "head -c 64m /dev/zero >/tmp/full; exec sleep 600"],
    "serves": ["/bin/sh", "-c", "exec httpd -f -p 8888 -h /tmp"],
}
"""The same, of images that have no more than busybox."""

_DERIVE = """
set -eu
container=$(buildah from --pull-never "$1")
trap 'buildah rm "$container" >/dev/null' EXIT
buildah config --entrypoint "$2" "$container"
buildah commit --quiet "$container" "$3" >/dev/null
"""

# As a Dockerfile of somebody else's would have it: another folder, another entry point, a server found by PATH.
_OF_AN_AUTHOR = """
set -eu
container=$(buildah from --pull-never "$1")
trap 'buildah rm "$container" >/dev/null' EXIT
folder=$(buildah mount "$container")
mv "$folder/opt/binder/env" "$folder/srv/lab"
rm -r "$folder/opt/binder"
printf '#!/bin/sh\nexec /srv/lab/bin/python -m jupyterlab "$@"\n' >"$folder/usr/local/bin/jupyter-lab"
chmod 755 "$folder/usr/local/bin/jupyter-lab"
for name in VIRTUAL_ENV REPO_DIR NB_USER NB_UID; do buildah config --env "$name-" "$container"; done
buildah config --env JUPYTER_PATH=/srv/own "$container"
buildah config --env PATH=/usr/local/bin:/usr/bin:/bin --cmd bash --workingdir /srv "$container"
buildah commit --quiet "$container" "$2" >/dev/null
"""

# As the cluster's small images: nothing but Debian's busybox-static.
_SMALL = """
set -eu
container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
folder=$(buildah mount "$container")
mkdir -p "$folder/bin" "$folder/tmp" "$folder/etc"
chmod 1777 "$folder/tmp"
cp /bin/busybox "$folder/bin/"
for name in cat env httpd id ls mkdir nc sh sleep touch wget; do ln -s busybox "$folder/bin/$name"; done
buildah config --env PATH=/bin --user 1000 --entrypoint "$1" "$container"
buildah commit --quiet "$container" "$2" >/dev/null
"""


def name_of(what: str) -> str:
    """Return the name of the image whose server does this: a test process does not remove those of another."""
    return f"localhost/binder-tests/{what}:{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"


def make_images(builder: Builder, base: str) -> None:
    """Make the images of `ENTRY_POINTS`; all layers are those of `base`."""
    asyncio.run(_make_images(builder, base))


def make_image_of_an_author(builder: Builder, base: str) -> str:
    """Make an image in which nothing is where ours have it, but a JupyterLab, and return its name."""
    name = name_of("of-an-author")
    asyncio.run(builder.buildah.run_script(_OF_AN_AUTHOR, base, name, step="derive", take=None))
    return name


def make_small_image(builder: Builder) -> str:
    """Make an image of nothing but busybox, whose server goes on, and return its name."""
    name = name_of("small")
    asyncio.run(builder.buildah.run_script(_SMALL, json.dumps(_RUNS), name, step="derive", take=None))
    return name


async def _make_images(builder: Builder, base: str) -> None:
    for what, entry_point in ENTRY_POINTS.items():
        name = name_of(what)
        await builder.buildah.run_script(_DERIVE, base, json.dumps(entry_point), name, step="derive", take=None)
