"""A mirror of Docker Hub on this machine, with tiny images in it: a shell, some commands, and what they need to run."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.builds import Builder

_COMMANDS = ("sh", "cat", "chmod", "env", "id", "ls", "mkdir", "readlink", "rm")
_LIBRARY = re.compile(r"(/\S+) \(0x")
_PUSH = """
set -eu
container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
buildah add --quiet "$container" "$1" / >/dev/null
name=$2
shift 2
for trigger; do buildah config --onbuild "$trigger" "$container"; done
buildah config --env PATH=/bin --cmd /bin/sh "$container"
id=$(buildah commit --quiet --format docker "$container")
buildah push --quiet --compression-format gzip --compression-level 1 "$id" "docker://$name"
buildah rmi "$id" >/dev/null
"""


@dataclass(frozen=True)
class Mirror:
    """A mirror of Docker Hub: `docker_mirror` says where it is. `machine` puts images there, from `folder`."""

    docker_mirror: str
    machine: Builder
    folder: Path

    async def put(self, name: str, triggers: Sequence[str] = ()) -> None:
        """Put a tiny image there under a name as Docker Hub has it, `library/tiny:1`, with triggers (ONBUILD)."""
        await self.machine.buildah.run_script(
            _PUSH, str(self.folder), f"{self.docker_mirror}/{name}", *triggers, step="push", take=None
        )


def write_tiny_system(folder: Path) -> None:
    """Write the files of a system that has a shell and some commands, those of this machine."""
    (folder / "bin").mkdir(parents=True)
    libraries: set[str] = set()
    for name in _COMMANDS:
        path = shutil.which(name)
        assert path
        shutil.copy(path, folder / "bin" / name)
        argv = ["ldd", path]
        libraries.update(_LIBRARY.findall(subprocess.run(argv, capture_output=True, text=True, check=True).stdout))
    for library in libraries:
        place = folder / library.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
