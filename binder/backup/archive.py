"""A backup's file: a zip of a store, of locks, perhaps of an App's keys, and of a manifest that says what they are.

Owns what may be in such a file, and in which words it is refused. Whoever reads one may have been given it by anybody:
nothing is unpacked by the name that it has in the file, nothing is taken that the manifest does not name, and nothing
is read further than the manifest says.

The store is an SQLite file, whatever database it came from.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from binder.errors import OperatorFault

STORE: Final = "store.sqlite"
MANIFEST: Final = "manifest.json"
LOCKS: Final = "locks/"
KEYS: Final = "github/app/"

_FORMAT: Final = "binder-backup"
_VERSION: Final = 1
_NAME: Final = re.compile(
    r"\A(?:store\.sqlite|locks/lock-[0-9a-f]{32}|github/app/(?:app\.json|private-key\.pem|webhook-secret|client-secret))\Z"
)
_DIGEST: Final = re.compile(r"\A[0-9a-f]{64}\Z")
_MOST_MANIFEST_BYTES: Final = 64 * 2**20
_MOST_SMALL_BYTES: Final = 64 * 2**20
_PIECE_BYTES: Final = 2**20
_WAYS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_DAMAGES: Final = (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, struct.error, zlib.error)
"""What is raised of a zip file that is none, or not whole."""


@dataclass(frozen=True)
class Member:
    """A file in a backup: what it is called there, its bytes, and its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup is: which version of ours made it, of which schema the store is, when (UTC), and what is in it."""

    version: str
    schema: str
    made_at: datetime
    members: tuple[Member, ...] = field(default=())

    def names(self, prefix: str) -> list[str]:
        """Return the names of the members that begin so."""
        return [member.name for member in self.members if member.name.startswith(prefix)]


class Writing:
    """A backup that is being written."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members: list[Member] = []

    def add(self, name: str, source: IO[bytes]) -> None:
        """Add a file."""
        assert _NAME.match(name), name  # noqa: S101 - what would not be read again is not written
        digest, size = hashlib.sha256(), 0
        with self._archive.open(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True) as target:
            while piece := source.read(_PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
                target.write(piece)
        self._members.append(Member(name, size, digest.hexdigest()))

    def finish(self, *, version: str, schema: str, made_at: datetime) -> Manifest:
        """Add the manifest, and return it."""
        manifest = Manifest(version, schema, made_at, tuple(self._members))
        text = json.dumps({"format": _FORMAT, "format_version": _VERSION, **_plain(manifest)}, indent=1)
        self._archive.writestr(zipfile.ZipInfo(MANIFEST, (1980, 1, 1, 0, 0, 0)), text)
        return manifest


@contextmanager
def writing(path: Path) -> Iterator[Writing]:
    """Give a backup to be written to a file that only this account can read, and that is there whole or not at all.

    Raises: OperatorFault, where there is such a file already, or it cannot be written.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                    yield Writing(archive)
                file.flush()
                os.fsync(file.fileno())
            path.hardlink_to(new)  # fails where there is one: an older backup is never written over
        finally:
            new.unlink()
    except FileExistsError as error:
        raise OperatorFault(f"{path} is there already. Backups are never written over: choose another name.") from error
    except OSError as error:
        raise OperatorFault(f"The backup cannot be written to {path}: {error.strerror}.") from error


class Backup:
    """A backup that was opened, and of which the manifest was found to fit what is there."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self.manifest = manifest
        self._path = path
        self._archive = archive
        self._known = {member.name: member for member in manifest.members}

    def unpack(self, name: str, to: Path) -> None:
        """Write a file of the backup to a new file `to`, which only this account can read.

        Raises: OperatorFault, where it is not what the manifest says, or there is no place for it.
        """
        member, digest, left = self._known[name], hashlib.sha256(), self._known[name].size
        if left > (free := shutil.disk_usage(to.parent).free):
            raise OperatorFault(f"{name} of the backup has {left} bytes, and the disk of {to.parent} has {free} left.")
        try:
            descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as target, self._archive.open(name) as source:
                while left >= 0 and (piece := source.read(_PIECE_BYTES)):
                    left -= len(piece)
                    digest.update(piece)
                    target.write(piece)
                target.flush()
                os.fsync(target.fileno())
        except _DAMAGES as error:
            raise _damaged(self._path) from error
        except OSError as error:
            raise OperatorFault(f"{name} of the backup cannot be unpacked to {to}: {error.strerror}.") from error
        if left or digest.hexdigest() != member.sha256:
            raise OperatorFault(
                f"{self._path} is damaged: {name} in it is not what its manifest says. Take another one."
            )


@contextmanager
def reading(path: Path, *, schemas: Iterable[str]) -> Iterator[Backup]:
    """Give a backup whose schema is one of `schemas`, the ones that we know.

    Raises: OperatorFault, where it is none of ours, not whole, or of a newer version.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise OperatorFault(f"The backup {path} cannot be read: {error.strerror}.") from error
    with file:
        if file.read(4) != b"PK\x03\x04":
            raise OperatorFault(f"{path} is no backup that `binder backup` made.")
        try:
            archive = zipfile.ZipFile(file)
        except _DAMAGES as error:
            raise _damaged(path) from error
        with archive:
            manifest = _manifest_in(path, archive)
            if manifest.schema not in set(schemas):
                raise OperatorFault(
                    f"{path} was made by Binder {manifest.version}, whose store has the schema {manifest.schema}, "
                    "which this version does not know. Restore it with that version, or a later one."
                )
            _check_members(path, archive, manifest)
            yield Backup(path, archive, manifest)


def _manifest_in(path: Path, archive: zipfile.ZipFile) -> Manifest:
    """Return the manifest, its every field checked."""
    foreign = OperatorFault(f"{path} is no backup that `binder backup` made: it has no manifest that says so.")
    try:
        if archive.getinfo(MANIFEST).file_size > _MOST_MANIFEST_BYTES:
            raise foreign
        with archive.open(MANIFEST) as source:
            value = json.loads(source.read(_MOST_MANIFEST_BYTES))
    except KeyError as error:
        raise foreign from error
    except (*_DAMAGES, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(value, dict) or value.get("format") != _FORMAT:
        raise foreign
    try:
        version = _word(value["version"])
        if value["format_version"] != _VERSION:
            raise OperatorFault(f"{path} was made by a newer version of Binder, {version}. Restore it with that one.")
        members = tuple(_member_of(one) for one in value["members"])
        return Manifest(version, _word(value["schema"]), datetime.fromisoformat(value["made_at"]), members)
    except (KeyError, TypeError, ValueError) as error:
        raise OperatorFault(f"{path} is damaged: its manifest cannot be read. Take another one.") from error


def _member_of(value: Mapping[str, Any]) -> Member:
    member = Member(value["name"], value["size"], value["sha256"])
    if type(value["size"]) is not int or member.size < 0 or not _DIGEST.match(member.sha256):
        raise ValueError("neither a size nor a digest")
    return member


def _check_members(path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """See that there is in the file what the manifest names, once, and nothing else."""
    named = [MANIFEST, *(member.name for member in manifest.members)]
    there = [info.filename for info in archive.infolist()]
    if odd := next((name for name in (*named, *there) if name != MANIFEST and not _NAME.match(name)), None):
        raise OperatorFault(f"{path} is refused: {odd[:200]!r} is nothing that a backup holds.")
    if sorted(named) != sorted(there) or STORE not in there:
        raise OperatorFault(f"{path} is damaged: it does not hold what its manifest names. Take another one.")
    if any(info.flag_bits & 1 or info.compress_type not in _WAYS for info in archive.infolist()):
        raise OperatorFault(f"{path} is refused: it is packed in a way in which no backup is.")
    if large := next((one for one in manifest.members if one.name != STORE and one.size > _MOST_SMALL_BYTES), None):
        raise OperatorFault(f"{path} is refused: {large.name} in it has {large.size} bytes, more than any can have.")


def _damaged(path: Path) -> OperatorFault:
    return OperatorFault(f"{path} is damaged, or not all of it is there. Take another one.")


def _word(value: object) -> str:
    """Return a text that is fit to be told."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9A-Za-z.+_-]{1,40}", value):
        raise ValueError("not a version")
    return value


def _plain(manifest: Manifest) -> dict[str, Any]:
    return {**asdict(manifest), "made_at": manifest.made_at.isoformat()}
