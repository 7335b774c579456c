"""What lies in the cache folder besides images: git objects, locks and records, marks, and folders of builds.

Looks at them and removes them; which of them go is `build.garbage.choice`'s.
"""

import asyncio
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from binder.errors import BinderError
from binder.paths import Paths
from binder.process import Account
from binder.uses import last_uses, mark_of, removing_images
from build.buildah import Buildah
from build.garbage.choice import FileKind, KeptFile, subject_of

# `fetch.sh` holds the same lock while it is at a repository. It stays: others may wait for it.
_REMOVE_REPOSITORY = """
set -eu
exec 9>>"$1.lock"
flock --nonblock 9 || { echo "something is at it"; exit 1; }
rm -rf -- "$1"
"""
_REMOVE_FOLDER = 'rm -rf -- "$1"'
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class CacheFiles:
    """Removes files of the cache folder, those of the build account as that account."""

    def __init__(self, buildah: Buildah, account: Account) -> None:
        self._buildah = buildah
        self._paths: Paths = buildah.paths
        self._account = account

    async def remove(self, file: KeptFile) -> str | None:
        """Remove a file or folder, unless it was used since it was looked at; return why it stays, or None."""
        try:
            if _look(file.path, file.kind, self._paths).used_at > file.used_at:
                return "It was used meanwhile."
            await self._remove(file)
        except OSError as error:
            return error.strerror
        except BinderError as error:
            return error.message
        return None

    async def _remove(self, file: KeptFile) -> None:
        match file.kind:
            case "git":
                await self._run(_REMOVE_REPOSITORY, file.path)
            case "work" if self._account.is_other:
                await asyncio.to_thread(shutil.rmtree, file.path)
            case "work":
                # Some of what is in it belongs to ids that only a namespace of ours can act for.
                await self._run(_REMOVE_FOLDER, file.path)
            case "lock":
                file.path.unlink(missing_ok=True)
            case "mark":
                async with removing_images(self._paths):
                    if _used_at(file.path) <= file.used_at:
                        file.path.unlink(missing_ok=True)

    async def _run(self, script: str, path: Path) -> None:
        await self._buildah.run_script(script, str(path), step="clean-up", take=None)


def files_in(paths: Paths, tags: Iterable[str]) -> list[KeptFile]:
    """Return the files that may go; a mark is one of them where none of the images, which have these tags, has it."""
    without = last_uses(paths).keys() - set(tags)
    found: list[tuple[Path, FileKind]] = [(path, "git") for path in paths.git.glob("*") if path.is_dir()]
    found += [(path, "lock") for path in paths.locks.glob("*") if path.is_file()]
    found += [(path, "work") for path in paths.work.glob("*") if path.is_dir()]
    found += [(mark_of(paths, tag), "mark") for tag in sorted(without)]
    return [_look(path, kind, paths) for path, kind in found]


def _look(path: Path, kind: FileKind, paths: Paths) -> KeptFile:
    times = [_used_at(path)]
    if kind == "git":
        times += [_used_at(path / "made"), _used_at(path.with_name(f"{path.name}.lock"))]
    if kind == "lock":
        times.append(_used_at(mark_of(paths, subject_of(path.name) or path.name)))
    return KeptFile(path, kind, _bytes_in(path), max(times))


def _used_at(path: Path) -> datetime:
    """Return when a file was last written to; the beginning of time where there is none."""
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    except FileNotFoundError:
        return _BEGINNING


def _bytes_in(path: Path) -> int:
    """Return what a file or folder takes; what goes meanwhile, or is closed to us, counts nothing."""
    paths = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    return sum(map(_size, paths)) if path.is_dir() else _size(path)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
