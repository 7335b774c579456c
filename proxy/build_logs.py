"""Reads the logs of builds while they grow, as lines that a page can show."""

import re
from pathlib import Path

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(line: str) -> str:
    """Return a line without what only a terminal understands; of a line that wrote over itself, what it ended as."""
    shown = _ESCAPES.sub("", line).rstrip("\r").rsplit("\r", 1)[-1]
    return _CONTROLS.sub("", shown)


def read_lines(path: Path, offset: int, *, most_bytes: int, end: int | None = None) -> tuple[list[str], int]:
    """Return the whole lines from a byte offset on, at most so many bytes and not beyond `end`, and the next offset.

    A log that is not there yet has no lines; a line that is longer than `most_bytes` comes in pieces.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(most_bytes if end is None else max(0, min(most_bytes, end - offset)))
    except FileNotFoundError:
        return [], offset
    whole = data.rfind(b"\n") + 1
    if not whole and len(data) == most_bytes:
        whole = len(data)
    lines = data[:whole].decode(errors="replace").removesuffix("\n").split("\n") if whole else []
    return [plain(line) for line in lines], offset + whole


def size_of(path: Path) -> int:
    """Return a log's size in bytes: 0 where there is none yet."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def tail_offset(path: Path, most_bytes: int) -> int:
    """Return where the last whole lines of a log begin, at most so many bytes of them."""
    size = size_of(path)
    if size <= most_bytes:
        return 0
    with path.open("rb") as file:
        file.seek(size - most_bytes)
        return size - most_bytes + len(file.readline())
