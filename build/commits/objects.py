"""Reads what `git cat-file --batch` prints, piece by piece as it comes. Pure: the pieces are somebody else's to get.

Source: https://git-scm.com/docs/git-cat-file#_batch_output
"""

from typing import Protocol

from binder.errors import WorldFault

_LONGEST_HEADER = 200


class Sink(Protocol):
    """Who takes the objects, each with a beginning, its content in pieces, and an end."""

    def begin(self, object_id: str, size: int) -> None:
        """Take note of the next object."""

    def data(self, piece: bytes) -> None:
        """Take a piece of its content."""

    def end(self) -> None:
        """Take note that it was whole."""


class ObjectReader:
    """Turns the bytes of the stream into calls of a sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._rest = b""
        self._left: int | None = None  # bytes of the present object; None between objects
        self._whole = 0

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the stream.

        Raises: WorldFault, where an object is not there, and what the sink raises.
        """
        data = self._rest + piece if self._rest else piece
        at = 0
        while at < len(data):
            if self._left is None:
                end = data.find(b"\n", at)
                if end < 0:
                    break
                self._begin(data[at:end])
                at = end + 1
            elif self._left:
                part = data[at : at + self._left]
                self._left -= len(part)
                at += len(part)
                self._sink.data(part)
            else:  # the line break after an object
                at += 1
                self._left = None
                self._whole += 1
                self._sink.end()
        self._rest = data[at:]
        if len(self._rest) > _LONGEST_HEADER:
            raise _unreadable(self._rest)

    def close(self, wanted: int) -> None:
        """Take note that the stream has ended, which should have held so many objects.

        Raises: WorldFault, where it did not.
        """
        if self._whole != wanted:
            raise _unreadable(self._rest or b"git ended early")

    def _begin(self, header: bytes) -> None:
        match header.split():
            case [object_id, b"blob", size] if size.isdigit():
                self._left = int(size)
                self._sink.begin(object_id.decode(), self._left)
            case _:
                raise _unreadable(header)


class Collected:
    """A sink that keeps what is in each object, in their order."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []
        self._pieces: list[bytes] = []

    def begin(self, object_id: str, size: int) -> None:
        """Begin the next object."""
        self._pieces = []

    def data(self, piece: bytes) -> None:
        """Keep a piece of it."""
        self._pieces.append(piece)

    def end(self) -> None:
        """Keep it whole."""
        self.contents.append(b"".join(self._pieces))


def _unreadable(header: bytes) -> WorldFault:
    said = header[:_LONGEST_HEADER].decode(errors="backslashreplace")
    return WorldFault(f"A file of the commit cannot be read from where it was fetched to: {said}. Build it again.")
