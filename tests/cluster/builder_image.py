"""The image that pods of builds run, made of this project by its own Buildah, in the cluster's registry."""

import shutil
import subprocess
from pathlib import Path

from binder.settings import read_settings
from build.buildah import Mount, volumes
from build.plan import base_layer
from tests.builds import Builder

_ROOT = Path(__file__).parents[2]
_IMAGE = "localhost/binder-tests:builder"
# The steps that did not change are re-used from one run to the next.
_BUILD = """
set -eu
base=$1 image=$2 context=$3 name=$4
shift 4
buildah build --isolation oci --runtime runc --network host --layers --pull-never --ignorefile /dev/null \
    --format oci --target builder --build-arg "BASE=$base" "$@" --tag "$image" \
    --file "$context/deploy/images/Containerfile" "$context"
buildah push --quiet --tls-verify=false --compression-format gzip --compression-level 1 "$image" "docker://$name"
"""


async def push_builder_image(builder: Builder, base: str, context: Path, name: str) -> None:
    """Make the image of the files that git has, and push it as `name`; `context` is an empty folder for them."""
    files = _files_of_git()
    for file in files:
        if not file.startswith("tests/") and (_ROOT / file).is_file():
            (context / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_ROOT / file, context / file)
    paths = builder.paths
    folders: list[Mount] = [(folder, inside, "ro") for folder, inside in builder.host.folders.items()]
    mounts = volumes([(paths.tools, "/run/binder", "ro"), (paths.public_apt, "/run/apt", "ro"), *folders])
    arguments = (base, _IMAGE, str(context), name, *mounts)
    await builder.buildah.run_script(_BUILD, *arguments, step="builder image", take=_say)


async def _say(line: str) -> None:
    print(line)


def base_name() -> str:
    """Return the name of the Debian that everything lies on."""
    return f"localhost/binder:{base_layer(read_settings().debian_suite).tag}"


def _files_of_git() -> list[str]:
    argv = ["git", "-C", str(_ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout.split("\0")[:-1]
