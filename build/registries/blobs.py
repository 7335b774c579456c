"""A blob on its way into a registry: packed the same way each time, sent in chunks, resumed where it broke off.

What a registry has received whole is not sent again where the registry can still say so. Debian's docker-registry can
up to the last chunk that it has answered; a chunk that breaks off in the middle ends the upload there, and it begins
anew.

Source: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-blobs
"""

import asyncio
import hashlib
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import BinaryIO

from binder.errors import OperatorFault, WorldFault
from build.registries.http import Answer, Connection, UnansweredError

CHUNK_BYTES = 16 * 2**20

_IN_MEMORY_BYTES = 8 * 2**20
_READ_BYTES = 2**20
# Measured on sources and notebooks: level 4 takes half the time of 6 for 4 % more, level 2 a third for 10 % more, and 1
# is no faster than 2. Of something small nobody notices the time.
_LEVEL, _LEVEL_FOR_MUCH = 4, 2
_GZIP = 31
_RANGE = re.compile(r"\A(?:bytes=)?0-(\d{1,15})\Z")
_INTERRUPTIONS_AT_MOST = 6
_PAUSE_SECONDS = 0.1
_OUT_OF_STEP = frozenset({400, 404, 416})

Source = bytes | Path
"""What is sent: itself, or the file that holds it."""


@dataclass(frozen=True)
class Packed:
    """A layer as it is sent: where it is, the digest of its bytes (not of the tar in it), and how many there are."""

    source: Source
    digest: str
    size: int


@asynccontextmanager
async def packed(tar: Path, tar_bytes: int) -> AsyncIterator[Packed]:
    """Give a tar, compressed; where it is large, in a file beside it that is gone after the block.

    Raises: OperatorFault, where there is no room for it.
    """
    if tar_bytes <= _IN_MEMORY_BYTES:
        with _faults_of_packing():
            layer = await asyncio.to_thread(_pack, tar)
        yield layer
        return
    beside, stopped = tar.with_name(f"{tar.name}.gz"), Event()
    try:
        with _faults_of_packing():
            layer = await asyncio.to_thread(_pack_beside, tar, beside, stopped)
        yield layer
    finally:
        stopped.set()  # a thread cannot be cancelled
        beside.unlink(missing_ok=True)


@contextmanager
def _faults_of_packing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OperatorFault(f"A layer cannot be compressed: {error.strerror}.") from error


def _pack(tar: Path) -> Packed:
    # zlib's own header holds no time and no name: the same tar makes the same blob.
    data = zlib.compress(tar.read_bytes(), _LEVEL, _GZIP)
    return Packed(data, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))


def _pack_beside(tar: Path, beside: Path, stopped: Event) -> Packed:
    with tar.open("rb") as source, beside.open("wb") as target:
        digest, size = _pack_much(source, target, stopped)
    return Packed(beside, digest, size)


def _pack_much(source: BinaryIO, target: BinaryIO, stopped: Event) -> tuple[str, int]:
    packer, digest, size = zlib.compressobj(_LEVEL_FOR_MUCH, zlib.DEFLATED, _GZIP), hashlib.sha256(), 0
    while not stopped.is_set() and (piece := source.read(_READ_BYTES)):
        size += _add(packer.compress(piece), target, digest)
    size += _add(packer.flush(), target, digest)
    return f"sha256:{digest.hexdigest()}", size


def _add(piece: bytes, target: BinaryIO, digest: "hashlib._Hash") -> int:
    digest.update(piece)
    return target.write(piece)


class Upload:
    """The sending of one blob to a repository of the registry; the registry checks it against its digest.

    `chunk_bytes` is how much one request holds.
    """

    def __init__(
        self, connection: Connection, repository: str, source: Source, digest: str, size: int, *, chunk_bytes: int
    ) -> None:
        self._connection = connection
        self._repository = repository
        self._source = source
        self._digest = digest
        self._size = size
        self._chunk_bytes = chunk_bytes
        self._place = ""
        self._sent = 0

    async def send(self) -> None:
        """Send the blob, all of it.

        Raises: UnansweredError, where it broke off too often; OperatorFault; WorldFault.
        """
        await self._begin()
        for interruption in range(1, _INTERRUPTIONS_AT_MOST + 1):
            try:
                return await self._send_rest()
            except UnansweredError:
                if interruption == _INTERRUPTIONS_AT_MOST:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS * 2**interruption)
            if await has_blob(self._connection, self._repository, self._digest):
                return None  # only the last answer was lost
            await self._resume()
        return None

    async def _begin(self) -> None:
        answer = await self._connection.ask("POST", f"/v2/{self._repository}/blobs/uploads/", expected=(202,))
        self._place, self._sent = self._connection.place_of(answer), 0

    async def _resume(self) -> None:
        """Ask what has arrived; where nobody knows any more, begin anew."""
        answer = await self._connection.ask("GET", self._place, expected=(204, *_OUT_OF_STEP))
        if answer.status == 204:
            self._follow(answer, self._sent)
        else:
            await self._begin()

    async def _send_rest(self) -> None:
        while self._size - self._sent > self._chunk_bytes:
            before = self._sent
            answer = await self._put_chunk("PATCH", self._place, 202)
            self._follow(answer, before + self._chunk_bytes)
            if self._sent <= before:
                raise WorldFault("The registry does not keep what it is sent.")
        place = f"{self._place}{'&' if '?' in self._place else '?'}digest={self._digest}"
        answer = await self._put_chunk("PUT", place, 201)
        check_digest(answer, self._digest)

    async def _put_chunk(self, method: str, place: str, success: int) -> Answer:
        chunk = await asyncio.to_thread(
            _read, self._source, self._sent, min(self._chunk_bytes, self._size - self._sent)
        )
        headers = {"Content-Type": "application/octet-stream"}
        if (chunk and self._sent) or method == "PATCH":
            headers["Content-Range"] = f"{self._sent}-{self._sent + len(chunk) - 1}"
        answer = await self._connection.ask(
            method, place, content=chunk, headers=headers, expected=(success, 404, 416), once=True
        )
        if answer.status != success:
            raise UnansweredError("The registry lost an upload.")
        return answer

    def _follow(self, answer: Answer, arrived: int) -> None:
        """Go on where the registry says that it is; `arrived` is how much it has if it does not say."""
        if "location" in answer.headers:
            self._place = self._connection.place_of(answer)
        said = _RANGE.match(answer.headers.get("range", ""))
        last = int(said[1]) if said else arrived - 1
        # A registry that has nothing says "0-0", too.
        self._sent = min(last + 1, self._size) if last > 0 else 0


def _read(source: Source, offset: int, size: int) -> bytes:
    if isinstance(source, bytes):
        return source[offset : offset + size]
    try:
        with source.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise OperatorFault(f"A layer cannot be read: {error.strerror}.") from error


async def has_blob(connection: Connection, repository: str, digest: str) -> bool:
    """Whether the repository has a blob."""
    answer = await connection.ask("HEAD", f"/v2/{repository}/blobs/{digest}", expected=(200, 404))
    return answer.status == 200


def check_digest(answer: Answer, digest: str) -> None:
    """Check that the registry means what we do.

    Raises: WorldFault.
    """
    if answer.headers.get("docker-content-digest", digest) != digest:
        raise WorldFault("The registry has something else than what was sent to it, or asked from it.")
