"""The content layer's archive: a deterministic, uncompressed tar of a commit's files, made from git's objects.

Writes to the one file that it is given, and does nothing else. Nothing is checked out: a link is never followed, a name
never becomes a path of this machine. The same commit gives the same bytes on every machine and with every version of
Python: that is why the headers are written here, not by the standard library.

Source: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_01
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from binder.errors import RepositoryFault, WorldFault
from build.commits.lfs import Pointer
from build.commits.tree import EXECUTABLE, LINK, Entry, shown

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_LARGEST_IN_HEADER = 8**11
_LONGEST_IN_HEADER = 100
_LONGEST_LINK_BYTES = 4095
_FOLDER = b"5"
_LINK = b"2"
_FILE = b"0"
_PAX = b"x"


@dataclass(frozen=True)
class Tar:
    """An archive that was written. `sha256` is that of its bytes: OCI's diff id; `files` counts without folders."""

    path: Path
    size_bytes: int
    sha256: str
    files: int


@dataclass(frozen=True)
class Ownership:
    """Whom all that is in an archive belongs to, and its time in seconds of the epoch."""

    uid: int
    gid: int
    mtime: int


@dataclass(frozen=True)
class Beside:
    """Files that no commit has: path → content. `below` are laid among the commit's, `at_root` at the archive's root.

    The folders `there` of the latter are not written, so that they are root's.
    """

    below: Mapping[str, bytes] = field(default_factory=dict)
    at_root: Mapping[str, bytes] = field(default_factory=dict)
    there: tuple[str, ...] = ()


class TarWriter:
    """Writes an archive, one part after another; all of it lies below `prefix`, which may be empty."""

    def __init__(self, file: BinaryIO, prefix: str, ownership: Ownership) -> None:
        self._file = file
        self._prefix = f"{prefix}/" if prefix else ""
        self._ownership = ownership
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._folders: set[str] = set()
        self._padding = 0
        self._files = 0
        if prefix:
            self._header(f"{prefix}/", _FOLDER, 0o755, 0)

    def file(self, path: str, size: int, *, executable: bool) -> None:
        """Begin a file, of which `size` bytes are to follow."""
        self._folders_of(path)
        self._header(self._prefix + path, _FILE, 0o755 if executable else 0o644, size)
        self._padding = -size % _BLOCK
        self._files += 1

    def data(self, piece: bytes) -> None:
        """Write a piece of the file that was begun."""
        self._put(piece)

    def end(self) -> None:
        """End the file that was begun."""
        self._put(bytes(self._padding))

    def add(self, more: Beside) -> None:
        """Write files that no commit has."""
        self._add(more.below)
        prefix, self._prefix = self._prefix, ""
        folders, self._folders = self._folders, set(more.there)
        self._add(more.at_root)
        self._prefix, self._folders = prefix, folders

    def _add(self, files: Mapping[str, bytes]) -> None:
        for path, content in sorted(files.items()):
            self.file(path, len(content), executable=False)
            self.data(content)
            self.end()

    def link(self, path: str, target: bytes) -> None:
        """Write a symbolic link.

        Raises: RepositoryFault, where no disk can hold it.
        """
        try:
            text = target.decode()
        except UnicodeDecodeError as error:
            message = f"Where the link {shown(path)} leads is not UTF-8. Make it again."
            raise RepositoryFault(message, file=shown(path)) from error
        if not text or "\0" in text:
            raise RepositoryFault(f"The link {shown(path)} leads to what is no path.", file=shown(path))
        self._folders_of(path)
        self._header(self._prefix + path, _LINK, 0o777, 0, text)
        self._files += 1

    def close(self, path: Path) -> Tar:
        """End the archive, which lies at `path`, and return what it became; the file is the caller's to close."""
        self._put(_END)
        return Tar(path, self._size_bytes, self._digest.hexdigest(), self._files)

    def _folders_of(self, path: str) -> None:
        folder = path.rpartition("/")[0]
        if folder and folder not in self._folders:
            self._folders_of(folder)
            self._folders.add(folder)
            self._header(f"{self._prefix}{folder}/", _FOLDER, 0o755, 0)

    def _header(self, path: str, kind: bytes, mode: int, size: int, target: str = "") -> None:
        self._put(b"".join(_headers(path, kind, mode, size, target, self._ownership)))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._size_bytes += len(data)


class ContentSink:
    """Takes the objects of some files, in their order, into an archive."""

    def __init__(self, writer: TarWriter, files: Iterable[tuple[str, Entry, Pointer | None]]) -> None:
        self._writer = writer
        self._files = iter(files)
        self._path = ""
        self._link: bytearray | None = None
        self._wanted = ""
        self._digest = hashlib.sha256()

    def begin(self, object_id: str, size: int) -> None:
        """Begin the next file."""
        self._path, entry, pointer = next(self._files)
        if (object_id, size) != (pointer.sha256 if pointer else entry.object_id, entry.size):
            raise _changed(self._path)
        self._wanted = pointer.sha256 if pointer else ""
        self._link = None
        if entry.mode != LINK:
            self._writer.file(self._path, size, executable=entry.mode == EXECUTABLE)
        elif size <= _LONGEST_LINK_BYTES:
            self._link = bytearray()
        else:
            message = f"The link {shown(self._path)} leads further than {_LONGEST_LINK_BYTES:,} characters."
            raise RepositoryFault(message, file=shown(self._path))
        if pointer:
            self._digest = hashlib.sha256()

    def data(self, piece: bytes) -> None:
        """Take a piece of the file."""
        if self._link is not None:
            self._link += piece
            return
        self._writer.data(piece)
        if self._wanted:
            self._digest.update(piece)

    def end(self) -> None:
        """End the file; what Git LFS kept must be what its pointer says.

        Raises: WorldFault.
        """
        if self._link is not None:
            self._writer.link(self._path, bytes(self._link))
            return
        self._writer.end()
        if self._wanted and self._digest.hexdigest() != self._wanted:
            raise _changed(self._path)


def _changed(path: str) -> WorldFault:
    return WorldFault(f"What was fetched of {shown(path)} is not what the commit says. Build it again.")


def _headers(path: str, kind: bytes, mode: int, size: int, target: str, ownership: Ownership) -> Iterator[bytes]:
    """Give a part's header, and before it, where the part has what the header cannot hold, a header that can."""
    name, link = path.encode(), target.encode()
    mtime = min(max(ownership.mtime, 0), _LARGEST_IN_HEADER - 1)
    records = b""
    if len(name) > _LONGEST_IN_HEADER or not name.isascii():
        records += _record(b"path", name)
    if len(link) > _LONGEST_IN_HEADER or not link.isascii():
        records += _record(b"linkpath", link)
    if size >= _LARGEST_IN_HEADER:
        records += _record(b"size", str(size).encode())
    if records:
        yield _plain_header(b"././@PaxHeader", _PAX, 0o644, len(records), b"", Ownership(0, 0, 0))
        yield records + bytes(-len(records) % _BLOCK)
    size = size if size < _LARGEST_IN_HEADER else 0
    yield _plain_header(name, kind, mode, size, link, Ownership(ownership.uid, ownership.gid, mtime))


def _record(key: bytes, value: bytes) -> bytes:
    """Return a record of pax: its own length, a key and a value."""
    rest = b" %b=%b\n" % (key, value)
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return b"%d%b" % (length, rest)


def _plain_header(name: bytes, kind: bytes, mode: int, size: int, link: bytes, ownership: Ownership) -> bytes:
    before = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        _fitting(name).ljust(100, b"\0"),
        mode,
        ownership.uid,
        ownership.gid,
        size,
        ownership.mtime,
    )
    after = b"%b%bustar\x0000" % (kind, _fitting(link).ljust(100, b"\0"))
    empty = bytes(_BLOCK - len(before) - 8 - len(after))
    checksum = sum(before) + 8 * 0x20 + sum(after)
    return b"%b%06o\0 %b%b" % (before, checksum, after, empty)


def _fitting(text: bytes) -> bytes:
    """Return what a header can hold of a text; where that is not all, a record before it holds the whole."""
    if len(text) <= _LONGEST_IN_HEADER and text.isascii():
        return text
    return bytes(byte if byte < 0x80 else 0x3F for byte in text[:_LONGEST_IN_HEADER])
