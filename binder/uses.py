"""When images were last used: marks in the cache folder, which services share that do not know each other's needs.

Owns the names of our images, the marks, and the two locks that keep an image from going while somebody reaches for it.
Whoever needs an image marks it *first* and looks for it *then*; whoever removes one holds the lock alone, looks at its
mark once more, and removes it under the lock. So the image either is gone before it is looked for, or stays. Which
images go is `build.garbage.choice`'s.
"""

import asyncio
import fcntl
import os
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from binder.errors import OperatorFault
from binder.paths import Paths

_TAG = re.compile(r"\A(base|system|environment|prepared|content|containerfile|module|lock)-([0-9a-f]{32})\Z")
_POLL_SECONDS = 0.02
# Longer than the removal of one image may hold the lock.
_HELD_AT_MOST_SECONDS = 120.0


def named(image: str) -> tuple[str, str] | None:
    """Return the kind and the key in the name of one of our images, or in its tag alone; None for any other name."""
    found = _TAG.match(image.rpartition(":")[2])
    return (found[1], found[2]) if found else None


def tag_of(image: str) -> str | None:
    """Return the tag of one of our images, which is the same in every repository; None for any other name."""
    parts = named(image)
    return "-".join(parts) if parts else None


async def mark_used(paths: Paths, images: Iterable[str], *, at: datetime | None = None) -> None:
    """Say that images (names, or tags) are used now, or were `at` that time; to be called before they are looked for.

    Names that are not ours leave no mark. Raises: OperatorFault.
    """
    tags = {tag for tag in map(tag_of, images) if tag}
    if tags:
        used_at = time.time() if at is None else at.timestamp()
        async with _lock(paths.cache / "images.lock", fcntl.LOCK_SH):
            await asyncio.to_thread(_mark, _folder(paths), tags, used_at)


def last_uses(paths: Paths) -> dict[str, datetime]:
    """Return the marks: tag → when it was last used."""
    found = _folder(paths).glob("*-*")
    return {mark.name: datetime.fromtimestamp(mark.stat().st_mtime, UTC) for mark in found if tag_of(mark.name)}


def mark_of(paths: Paths, tag: str) -> Path:
    """Return the file whose time says when the image of that tag was last used."""
    return _folder(paths) / tag


@asynccontextmanager
async def removing_images(paths: Paths) -> AsyncIterator[None]:
    """Let nobody mark an image while the block runs, which must be short.

    Raises: OperatorFault.
    """
    async with _lock(paths.cache / "images.lock", fcntl.LOCK_EX):
        yield


@asynccontextmanager
async def using_foreign_images(paths: Paths) -> AsyncIterator[None]:
    """Let no image go that is not ours while the block runs: a Dockerfile's build pulls it first and uses it later.

    Raises: OperatorFault.
    """
    async with _lock(paths.cache / "foreign.lock", fcntl.LOCK_SH):
        yield


@asynccontextmanager
async def removing_foreign_images(paths: Paths) -> AsyncIterator[bool]:
    """Give whether nobody is using images that are not ours; if so, nobody begins to while the block runs."""
    try:
        async with _lock(paths.cache / "foreign.lock", fcntl.LOCK_EX, within_seconds=0):
            yield True
    except _HeldError:
        yield False


class _HeldError(OperatorFault):
    """A lock was not free in time."""


@asynccontextmanager
async def _lock(path: Path, mode: int, *, within_seconds: float = _HELD_AT_MOST_SECONDS) -> AsyncIterator[None]:
    until = time.monotonic() + within_seconds
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try_lock(descriptor, mode):
            if time.monotonic() >= until:
                raise _HeldError(f"Something has held {path} for longer than {within_seconds:g} s.")
            await asyncio.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _mark(folder: Path, tags: Iterable[str], used_at: float) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for tag in tags:
        mark = folder / tag
        if not mark.exists() or mark.stat().st_mtime < used_at:
            mark.touch()
            os.utime(mark, (used_at, used_at))


def _folder(paths: Paths) -> Path:
    return paths.cache / "uses"
