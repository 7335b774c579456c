"""Images whose server does something else than serve, made of a real one."""

import asyncio
import json
from collections.abc import Mapping

from tests.builds import Builder

ENTRY_POINTS: Mapping[str, list[str]] = {
    "leaves": ["/bin/sh", "-c", "echo I am leaving; exit 3"],
    "waits": ["/bin/sh", "-c", "exec sleep 600"],
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

_DERIVE = """
set -eu
container=$(buildah from --pull-never "$1")
trap 'buildah rm "$container" >/dev/null' EXIT
buildah config --entrypoint "$2" "$container"
buildah commit --quiet "$container" "$3" >/dev/null
"""


def name_of(what: str) -> str:
    """Return the name of the image whose server does this."""
    return f"localhost/binder-tests/{what}:1"


def make_images(builder: Builder, base: str) -> None:
    """Make the images of `ENTRY_POINTS`; all layers are those of `base`."""
    asyncio.run(_make_images(builder, base))


async def _make_images(builder: Builder, base: str) -> None:
    for what, entry_point in ENTRY_POINTS.items():
        name = name_of(what)
        await builder.buildah.run_script(_DERIVE, base, json.dumps(entry_point), name, step="derive", take=None)
