"""Tiny images in a storage of a test's own, as old as the test wants them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from binder.containers import prepare_engine
from binder.paths import Paths
from binder.process import Account
from binder.store.tables import utc_now
from binder.uses import mark_used, tag_of
from build.buildah import Buildah

_MAKE = """
set -eu
container=$(buildah from "$1")
folder=$(buildah mount "$container")
head -c "$3" /dev/urandom >"$folder/$4"
buildah commit --quiet --rm "$container" ${2:+"$2"}
"""


def image_name(kind: str, letter: str) -> str:
    """Return the name of an image of ours, whose key is one letter."""
    return f"localhost/binder:{kind}-{letter * 32}"


@dataclass(frozen=True)
class SmallImages:
    """A storage of a test's own; what it makes was never used since it was stored, many days ago."""

    buildah: Buildah
    account: Account

    @property
    def paths(self) -> Paths:
        """The folders of the storage."""
        return self.buildah.paths

    async def make(self, name: str, *, on: str = "scratch", size: int = 1000, days: float = 100) -> str:
        """Make an image of a new layer on another one, and return its id; one without a name has `""` for it."""
        last = (await self.run(_MAKE, on, name, str(size), f"file-{size}-{days}"))[-1]
        self.age(last, days)
        if tag_of(name):
            await mark_used(self.paths, [name], at=ago(days))
        return last

    def age(self, image_id: str, days: float) -> None:
        """Let an image be stored so many days ago."""
        _set_time(self.paths.engine / "storage/overlay-images" / image_id, ago(days))

    async def run(self, script: str, *arguments: str) -> list[str]:
        """Run a shell script beside Buildah and return the lines that it printed."""
        lines: list[str] = []

        async def take(line: str) -> None:
            lines.append(line)

        await self.buildah.run_script(script, *arguments, step="test", take=take)
        return lines

    async def names(self) -> set[str]:
        """Return the names of all images."""
        return set(await self.buildah.images())


def ago(days: float) -> datetime:
    """Return the time so many days before now."""
    return utc_now() - timedelta(days=days)


def old_file(path: Path, days: float, text: str = "") -> Path:
    """Write a file that was last used so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    _set_time(path, ago(days))
    return path


def old_folder(path: Path, days: float, files: Sequence[str] = ("file",)) -> Path:
    """Make a folder with files, all last used so many days ago."""
    for name in files:
        old_file(path / name, days, "content")
    _set_time(path, ago(days))
    return path


def _set_time(path: Path, time: datetime) -> None:
    os.utime(path, (time.timestamp(), time.timestamp()))


async def new_small_images(root: Path, account: Account) -> SmallImages:
    """Make a storage of its own below `root`, which the build account must be able to get through."""
    paths = Paths(root / "state", root / "cache")
    paths.make(account)
    await prepare_engine(paths, account)
    return SmallImages(Buildah(paths, account, timeout_seconds=60), account)
