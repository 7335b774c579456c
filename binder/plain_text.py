"""What strangers' programs print, as text: without what only a terminal understands, and would obey."""

import re

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(line: str) -> str:
    """Return a line without what only a terminal understands; of a line that wrote over itself, what it ended as."""
    shown = ESCAPES.sub("", line).rstrip("\r").rsplit("\r", 1)[-1]
    return CONTROLS.sub("", shown)


def plain_lines(text: str) -> str:
    """Return a text of several lines so."""
    return "\n".join(plain(line) for line in text.split("\n"))
