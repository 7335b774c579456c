"""Folds the lines of a log into the steps that its headings begin. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

# As `build.log` writes it. What a child prints may look the same: it then folds its own log, and nothing else.
_HEADING = re.compile(r"==> (.*) {2}\[(\d\d):(\d\d):(\d\d)\]")
_DAY_SECONDS = 86_400
_LAST_LINES = 12


@dataclass(frozen=True)
class Section:
    """A step: its heading, and the lines below it, of which the first has the number `first_line`.

    `heading_line` is None where the heading stands on a page before this one, `title` where there is none at all.
    `at` is the time of day, UTC, in seconds; `seconds` how long the step took, None where that is not known.
    """

    title: str | None
    heading_line: int | None
    first_line: int
    lines: tuple[str, ...]
    at: int | None
    seconds: int | None = None
    is_open: bool = False

    @property
    def last_words(self) -> int:
        """The number of the line from which on its end is worth reading: what went wrong is said at the end."""
        return self.first_line + max(0, len(self.lines) - _LAST_LINES)

    @property
    def time(self) -> str:
        """The time of day: `09:05:00`."""
        at = self.at or 0
        return f"{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}"


def sections_of(lines: Sequence[str], first_line: int, under: str | None, *, is_growing: bool) -> list[Section]:
    """Return the steps of a page of a log; `under` is the last heading before it.

    The last one that says something is open: where a build failed, it is the one at fault. Of a log that grows, it is
    the last.
    """
    found = list(_folded(lines, first_line, under))
    for number, (one, following) in enumerate(pairwise(found)):
        if one.at is not None and following.at is not None:
            found[number] = replace(one, seconds=(following.at - one.at) % _DAY_SECONDS)
    says = [number for number, section in enumerate(found) if section.lines or (is_growing and section is found[-1])]
    if says:
        found[says[-1]] = replace(found[says[-1]], is_open=True)
    return found


def _folded(lines: Sequence[str], first_line: int, under: str | None) -> Iterator[Section]:
    heading = _HEADING.fullmatch(under or "")
    section = _begun(heading, None, first_line)
    begins = 0
    for index, line in enumerate(lines):
        if found := _HEADING.fullmatch(line):
            if section.heading_line is not None or index > begins:
                yield replace(section, lines=tuple(lines[begins:index]))
            section, begins = _begun(found, first_line + index, first_line + index + 1), index + 1
    if section.heading_line is not None or lines[begins:]:
        yield replace(section, lines=tuple(lines[begins:]))


def _begun(heading: re.Match[str] | None, heading_line: int | None, first_line: int) -> Section:
    if heading is None:
        return Section(None, heading_line, first_line, (), None)
    hours, minutes, seconds = (int(heading[group]) for group in (2, 3, 4))
    return Section(heading[1], heading_line, first_line, (), hours * 3600 + minutes * 60 + seconds)
