"""Real Debian for tests: the base images of this machine, and builds on them that leave nothing behind."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from binder.errors import BinderError, RepositoryFault
from binder.paths import Paths
from binder.process import Account
from build.base import make_base
from build.buildah import Buildah, Mount
from build.plan import BASE_PACKAGES, base_layer

_TIMEOUT_SECONDS = 250.0


@dataclass
class Workshop:
    """Builds on Debian; `close` removes the images that were made, but for the bases, which others use too."""

    paths: Paths
    account: Account
    folder: Path
    images: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Reach Buildah."""
        self.buildah = Buildah(self.paths, self.account, timeout_seconds=_TIMEOUT_SECONDS)
        self._host: list[Mount] = [(self.paths.tools, "/run/binder", "ro"), (self.paths.apt, "/run/apt", "ro")]

    async def take(self, line: str) -> None:
        """Keep a line that was printed."""
        self.printed.append(line)

    async def base(self, suite: str) -> str:
        """Return the base image of a release; it is made if this machine has none."""
        image = f"localhost/binder:{base_layer(suite).tag}"
        if image not in await self.buildah.images():
            await make_base(self.buildah, image, suite, BASE_PACKAGES, self.take)
        return image

    def given(self, **files: str) -> Path:
        """Return a new folder with some files: `name_sh` is the file `name.sh`."""
        folder = self.folder / uuid4().hex
        folder.mkdir(mode=0o755)
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)
        return folder

    async def make(self, containerfile: str, given: Path, *, network_mounts: Sequence[Mount] = ()) -> str:
        """Build with a folder at /run/asked, and return the image.

        Raises: BinderError.
        """
        image = f"localhost/binder-test:{uuid4().hex}"
        file = self.folder / f"{uuid4().hex}.Containerfile"
        file.write_text(containerfile)
        self.printed.clear()
        self.images.append(image)
        await self.buildah.make(
            image,
            file,
            self.given(),
            mounts=[*self._host, (given, "/run/asked", "ro"), *network_mounts],
            created=315_532_800,
            step="test",
            take=self.take,
            explain=_as_printed,
        )
        return image

    async def inside(self, image: str, script: str) -> list[str]:
        """Run a shell script in a container of an image, as its user, and return what it printed."""
        self.printed.clear()
        run = 'c=$(buildah from --pull-never "$1"); trap \'buildah rm "$c" >/dev/null\' EXIT; '
        run += 'buildah run --isolation oci --runtime runc --network none "$c" -- /bin/sh -c "$2" </dev/null'
        await self.buildah.run_script(f"set -eu; {run}", image, script, step="look", take=self.take)
        return list(self.printed)

    async def layers(self, image: str) -> list[str]:
        """Return the digests of an image's layers, from the bottom up."""
        self.printed.clear()
        look = "buildah inspect --type image --format '{{range .OCIv1.RootFS.DiffIDs}}{{println .}}{{end}}' \"$1\""
        await self.buildah.run_script(look, image, step="look", take=self.take)
        return [line for line in self.printed if line]

    async def close(self) -> None:
        """Remove what was made."""
        there = await self.buildah.images()
        if names := [image for image in self.images if image in there]:
            await self.buildah.run_script('buildah rmi "$@" >/dev/null', *names, step="clean-up", take=None)
        shutil.rmtree(self.folder, ignore_errors=True)


def _as_printed(output: str) -> BinderError:
    return RepositoryFault(output)
