"""What a visitor changed in a session: which files are newer than its start, and a zip of them.

The files come from the session's own notebook server, which may be hostile: names are put together here out of single
ones that are safe, everything is counted, and what a bound leaves out is listed in the zip. Nothing is kept on disk,
nor more than a piece of a file in memory.
"""

import time
import zipfile
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from binder.errors import RepositoryFault, WorldFault
from deploy.jupyter import Client

FILES_BELOW = "changes"
"""The zip's folder that holds the files."""
LEFT_OUT = "left-out.txt"
"""The zip's list of what is not in it, beside that folder."""
_LONGEST_NAME = 255
_ODD_NAME = "Not every system can have something of this name."


@dataclass(frozen=True)
class Bounds:
    """The most that is looked at, and the most that is given."""

    folders: int = 500
    entries: int = 20_000
    files: int = 2_000
    content_bytes: int = 100 * 2**20
    search_seconds: float = 20.0
    copy_seconds: float = 600.0


@dataclass(frozen=True)
class Entry:
    """A file or folder in `folder` ("": the server's root), as the server says; `changed_at` is None if unknown."""

    folder: str
    name: str
    is_folder: bool
    size: int
    changed_at: datetime | None

    @property
    def path(self) -> str:
        """Where it is below the server's root."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def is_safe(self) -> bool:
        """Whether its name is one part of a path, on any system."""
        is_part = self.name.isprintable() and not {"/", "\\"} & set(self.name) and self.name[1:2] != ":"
        return is_part and 0 < len(self.name) <= _LONGEST_NAME


@dataclass(frozen=True)
class Found:
    """What a zip is to hold; `left_out` has a sentence for each thing that it will not."""

    files: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def entries_of(listing: Any, folder: str) -> list[Entry]:
    """Return what a folder's listing names, without what is hidden.

    Raises: RepositoryFault, where it is no listing.
    Source: https://jupyter-server.readthedocs.io/en/latest/developers/contents.html
    """
    try:
        named = {entry["name"]: entry for entry in listing["content"]}
        return [_entry(folder, name, entry) for name, entry in named.items() if not name.startswith(".")]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise RepositoryFault("The notebook server does not say what is in a folder.") from error


def _entry(folder: str, name: str, entry: Any) -> Entry:
    changed_at = datetime.fromisoformat(entry["last_modified"]) if entry.get("last_modified") else None
    is_known = changed_at is not None and changed_at.tzinfo is not None
    size = max(0, int(entry.get("size") or 0))
    return Entry(folder, name, entry["type"] == "directory", size, changed_at if is_known else None)


def chosen(entries: Iterable[Entry], since: datetime, bounds: Bounds) -> Found:
    """Return the files that changed after `since`, as many as fit; who comes first is served first."""
    files, left_out, left_bytes = list[str](), list[str](), bounds.content_bytes
    for entry in entries:
        if entry.is_folder or entry.changed_at is None or entry.changed_at <= since:
            continue
        if not entry.is_safe:
            left_out.append(_line(entry.path, _ODD_NAME))
        elif len(files) == bounds.files or entry.size > left_bytes:
            left_out.append(_line(entry.path, f"It is too much for one download ({entry.size} bytes)."))
        else:
            files.append(entry.path)
            left_bytes -= entry.size
    return Found(tuple(files), tuple(left_out))


def _line(path: str, why: str) -> str:
    return f"{path if path.isprintable() else ascii(path)}: {why}"


async def find_changed(client: Client, since: datetime, bounds: Bounds) -> Found:
    """Return which files of a session changed after `since`.

    Raises: WorldFault, where its server does not answer; RepositoryFault, where it answers something else.
    """
    until = time.monotonic() + bounds.search_seconds
    seen = await _listed(client, "", bounds.search_seconds)
    folders, unread, listed = deque(_folders(seen)), list[str](), 1
    while folders:
        folder, left = folders.popleft(), until - time.monotonic()
        if why := _why_not(folder, listed, len(seen), left, bounds):
            unread.append(_line(f"{folder.path}/", why))
            continue
        listed += 1
        try:
            inside = await _listed(client, folder.path, left)
        except (WorldFault, RepositoryFault) as error:
            unread.append(_line(f"{folder.path}/", error.message))
            continue
        seen += inside
        folders.extend(_folders(inside))
    found = chosen(seen, since, bounds)
    return Found(found.files, (*unread, *found.left_out))


def _why_not(folder: Entry, listed: int, seen: int, left_seconds: float, bounds: Bounds) -> str | None:
    if not folder.is_safe:
        return _ODD_NAME
    if listed >= bounds.folders or seen >= bounds.entries or left_seconds <= 0:
        return "There was too much to look at."
    return None


async def _listed(client: Client, folder: str, seconds: float) -> list[Entry]:
    path = f"api/contents/{quote(folder)}?type=directory&content=1"
    return entries_of(await client.call("GET", path, timeout_seconds=seconds), folder)


def _folders(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.is_folder]


class _Sink:
    """What a zip is written to: holds what was not taken yet."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        """Take a part of the zip."""
        self._held += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is nothing behind."""

    def close(self) -> None:
        """Do nothing: what was not taken yet stays."""

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        data = bytes(self._held)
        self._held.clear()
        return data


class _Budget:
    """What may still be copied."""

    def __init__(self, bounds: Bounds) -> None:
        self._left_bytes = bounds.content_bytes
        self._until = time.monotonic() + bounds.copy_seconds

    def take(self, piece: bytes = b"") -> bytes:
        """Return a piece that may be copied.

        Raises: RepositoryFault, where it may not.
        """
        self._left_bytes -= len(piece)
        if self._left_bytes < 0 or time.monotonic() >= self._until:
            raise RepositoryFault("It was too much for one download; what there is of it in here is not all.")
        return piece


async def zip_of(client: Client, found: Found, bounds: Bounds) -> AsyncGenerator[bytes]:
    """Give a zip of these files, piece by piece; one that cannot be read is listed, and does not end the rest."""
    sink, budget, left_out = _Sink(), _Budget(bounds), list(found.left_out)
    with zipfile.ZipFile(sink, "w") as archive:
        for path in found.files:
            try:
                budget.take()
                async with client.content(f"files/{quote(path)}") as pieces:
                    with archive.open(_member(f"{FILES_BELOW}/{path}"), "w", force_zip64=True) as member:
                        async for piece in pieces:
                            member.write(budget.take(piece))
                            yield sink.taken()
            except (WorldFault, RepositoryFault) as error:
                left_out.append(_line(path, error.message))
        if left_out:
            archive.writestr(_member(LEFT_OUT), "\n".join(left_out) + "\n")
    yield sink.taken()


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, time.gmtime()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    return info
