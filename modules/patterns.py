"""Patterns of texts, which a stranger may have written: a row of characters and classes, each with how many of it.

`[a-z][a-z0-9_]{0,30}` is one. There are no groups and no alternatives, and Python's own engine never sees it: matching
takes a time that grows with the text's length times the pattern's, whatever either is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

LONGEST = 100
"""How long a pattern may be."""

_ITEM = re.compile(
    r"(?P<some>\[\^?(?:[^\[\]\\\s]|\\[\]\\\[.^-]| )+\]|\\[.+*?()\[\]{}|^$\\/-]|[A-Za-z0-9_@:/ ,=%#&~!'\";<>-])"
    r"(?P<many>[*+?]|\{[0-9]{1,3}(?:,[0-9]{0,3})?\})?"
)
_NO_END = 10_000


class PatternError(ValueError):
    """It is no pattern that is read here; says what, in a sentence."""


@dataclass(frozen=True)
class _Item:
    """One character of a set, `least` to `most` times."""

    some: frozenset[str]
    others: bool
    least: int
    most: int

    def takes(self, character: str) -> bool:
        return (character in self.some) != self.others


def check_pattern(pattern: str) -> None:
    """See that a pattern is one.

    Raises: PatternError.
    """
    _items(pattern)


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern matches the text as a whole.

    Raises: PatternError.
    """
    at = {0}
    for item in _items(pattern):
        at = _after(item, text, at)
    return len(text) in at


def _after(item: _Item, text: str, at: set[int]) -> set[int]:
    """Return where in the text one may be behind an item, having been at any of these places before it."""
    runs = [0] * (len(text) + 1)
    for place in range(len(text) - 1, -1, -1):
        runs[place] = runs[place + 1] + 1 if item.takes(text[place]) else 0
    begins = [0] * (len(text) + 2)
    for place in at:
        last = min(item.most, runs[place])
        if last >= item.least:
            begins[place + item.least] += 1
            begins[place + last + 1] -= 1
    found, open_ranges = set[int](), 0
    for place in range(len(text) + 1):
        open_ranges += begins[place]
        if open_ranges:
            found.add(place)
    return found


@lru_cache(maxsize=256)
def _items(pattern: str) -> tuple[_Item, ...]:
    if not pattern or len(pattern) > LONGEST:
        raise PatternError(f"A pattern has 1 to {LONGEST} characters.")
    return tuple(_read(pattern))


def _read(pattern: str) -> Iterator[_Item]:
    place = 0
    while place < len(pattern):
        found = _ITEM.match(pattern, place)
        if not found:
            raise PatternError(
                f"`{pattern[place:][:20]}` cannot be read: a pattern is a row of characters and of classes as "
                "`[a-z0-9]`, each of which may have `?`, `*`, `+` or `{1,30}` behind it; a dot is `\\.`."
            )
        least, most = _how_many(found["many"])
        if least > most:
            raise PatternError(f"`{found[0][:40]}` asks for more than it allows.")
        some = found["some"]
        others = some.startswith("[^")
        inner = some[2 if others else 1 : -1] if some.startswith("[") else some
        if not inner:
            raise PatternError(f"`{some}` names no character.")
        yield _Item(frozenset(_characters(inner, ranges=some.startswith("["))), others, least, most)
        place = found.end()


def _how_many(many: str | None) -> tuple[int, int]:
    if many is None:
        return 1, 1
    if not many.startswith("{"):
        return {"*": (0, _NO_END), "+": (1, _NO_END), "?": (0, 1)}[many]
    least, comma, most = many[1:-1].partition(",")
    return int(least), int(most) if most else _NO_END if comma else int(least)


def _characters(inner: str, *, ranges: bool) -> Iterator[str]:
    parts = re.findall(r"\\.|.", inner)
    place = 0
    while place < len(parts):
        first = parts[place][-1]
        if ranges and parts[place + 1 : place + 2] == ["-"] and place + 2 < len(parts):
            last = parts[place + 2][-1]
            if last < first or ord(last) > 0x7F:
                raise PatternError(f"`{first}-{last}` is no range of characters.")
            yield from map(chr, range(ord(first), ord(last) + 1))
            place += 3
        else:
            yield first
            place += 1
