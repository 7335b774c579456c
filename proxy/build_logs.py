"""Reads the logs of builds while they grow: as lines that a page can show, by pages of a bounded size, by search."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol

from binder.plain_text import CONTROLS, plain

PIECE_BYTES: Final = 2**18
"""How much is read at once: more than a line that a child printed can be long."""

_PAGE_LINES = 5000
_PAGE_BYTES = 2 * PIECE_BYTES
_MOST_MATCHES = 200
_MOST_LINES_SEARCHED = 1_000_000
_HEADING = b"==> "


class Log(Protocol):
    """A log: bytes that grow at the end."""

    async def size(self) -> int:
        """Return how many there are."""

    async def read(self, offset: int, most_bytes: int) -> bytes:
        """Return what stands from an offset on, at most so many."""


@dataclass(frozen=True)
class Page:
    """A part of a log: from a byte offset to another, its first line's number, and the last heading before it."""

    start: int
    end: int
    first_line: int
    under: str | None


@dataclass(frozen=True)
class Found:
    """The lines that a search found, as (number, text); `is_all` is false where there may be more of them."""

    lines: tuple[tuple[int, str], ...]
    is_all: bool


async def read_lines(log: Log, offset: int, *, most_bytes: int, end: int | None = None) -> tuple[list[str], int]:
    """Return the whole lines from a byte offset on, at most so many bytes and not beyond `end`, and the next offset.

    A log that is not there yet has no lines; a line that is longer than `most_bytes` comes in pieces.
    """
    data = await _read_whole(log, offset, most_bytes=most_bytes, end=end)
    return await _lines_in(data), offset + len(data)


async def read_part(log: Log, offset: int, *, most_bytes: int, end: int) -> tuple[list[str], int]:
    """Return what `read_lines` does, but a first line that is longer than `most_bytes` as a whole."""
    data = await _read_whole(log, offset, most_bytes=most_bytes, end=end)
    if data and not data.endswith(b"\n"):
        data = await _read_whole(log, offset, most_bytes=max(most_bytes, PIECE_BYTES), end=end)
        data = data[: data.find(b"\n") + 1] or data
    return await _lines_in(data), offset + len(data)


async def whole_size_of(log: Log, most_bytes: int) -> int:
    """Return where the last whole line of a log ends, not beyond `most_bytes`."""
    size = min(await log.size(), most_bytes)
    begin = max(0, size - PIECE_BYTES)
    return begin + len(await _read_whole(log, begin, most_bytes=PIECE_BYTES, end=size))


async def tail_offset(log: Log, most_bytes: int) -> int:
    """Return where the last whole lines of a log begin, at most so many bytes of them."""
    size = await log.size()
    if size <= most_bytes:
        return 0
    data = await log.read(size - most_bytes, most_bytes)
    return size - most_bytes + (data.find(b"\n") + 1 or len(data))


async def pages_of(log: Log, end: int) -> list[Page]:
    """Return the pages of a log up to `end`, at least one: bounded in lines as well as in bytes."""
    pages: list[Page] = []
    start, line, under = 0, 1, None
    while data := await _read_whole(log, start, most_bytes=_PAGE_BYTES, end=end):
        if data.count(b"\n") > _PAGE_LINES:
            data = data[: len(data) - len(data.split(b"\n", _PAGE_LINES)[-1])]
        pages.append(Page(start, start + len(data), line, under))
        start, line = start + len(data), line + max(1, data.count(b"\n"))
        under = _last_heading(data) or under
    return pages or [Page(0, 0, 1, None)]


async def search(log: Log, text: str, end: int) -> Found:
    """Return the lines up to `end` that hold `text`, in whatever case; bounded in matches and in lines looked at."""
    wanted, number = text.casefold(), 1
    found: list[tuple[int, str]] = []
    async for lines in _candidates(log, wanted, end):
        for at, line in enumerate(lines):
            if wanted in line.casefold():
                found.append((number + at, line))
                if len(found) > _MOST_MATCHES:
                    return Found(tuple(found[:_MOST_MATCHES]), is_all=False)
        number += len(lines)
        if number > _MOST_LINES_SEARCHED:
            return Found(tuple(found), is_all=False)
    return Found(tuple(found), is_all=True)


async def _candidates(log: Log, wanted: str, end: int) -> AsyncIterator[list[str]]:
    """Give the lines of the log, piece by piece; those of a piece that cannot hold `wanted` as empty ones."""
    offset = 0
    while data := await _read_whole(log, offset, most_bytes=PIECE_BYTES, end=end):
        offset += len(data)
        yield await asyncio.to_thread(_candidates_in, data, wanted)


def _candidates_in(data: bytes, wanted: str) -> list[str]:
    text = data.decode(errors="replace").removesuffix("\n")
    # Most pieces hold nothing: looking at one as a whole costs a small part of looking at each of its lines.
    if "\x1b" in text or wanted in CONTROLS.sub("", text).casefold():
        return [plain(line) for line in text.split("\n")]
    return [""] * (text.count("\n") + 1)


async def _read_whole(log: Log, offset: int, *, most_bytes: int, end: int | None) -> bytes:
    """Return the bytes of whole lines; those of a line that is longer than `most_bytes` are given as they are."""
    wanted = most_bytes if end is None else max(0, min(most_bytes, end - offset))
    data = await log.read(offset, wanted) if wanted else b""
    whole = data.rfind(b"\n") + 1
    return data[:whole] if whole or len(data) < most_bytes else data


async def _lines_in(data: bytes) -> list[str]:
    # A page of it has thousands of lines: nobody else shall wait for them.
    return await asyncio.to_thread(_plain_lines, data) if data else []


def _plain_lines(data: bytes) -> list[str]:
    return [plain(line) for line in data.decode(errors="replace").removesuffix("\n").split("\n")]


def _last_heading(data: bytes) -> str | None:
    at = data.rfind(b"\n" + _HEADING) + 1
    if not data.startswith(_HEADING, at):
        return None
    return plain(data[at : data.find(b"\n", at)].decode(errors="replace"))
