"""Sees to it that what a template puts somewhere stays there, in texts that have no escapes of their own for it.

A last look at each value of a Containerfile, of HAProxy's configuration and of an R script: what would end the line, or
the word, is refused. A value that was quoted for its place bears the mark of it, `Quoted`, and goes through.
"""

import re
from collections.abc import Callable

_ENDS_A_LINE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_BARE_WORD = re.compile(r"\A[A-Za-z0-9_.:/@*,+-]*\Z")
_IN_A_STRING_OF_R = re.compile(r"\A[A-Za-z0-9_.:/<>=!+~^ -]*\Z")


class Quoted(str):
    """A text that was made ready for the place where it goes."""

    __slots__ = ()


def haproxy_word(value: object) -> Quoted:
    """Return a text as one word of HAProxy's configuration, whatever it holds.

    Source: https://docs.haproxy.org/2.6/configuration.html#2.2
    Raises: ValueError, where it is more than a line.
    """
    text = one_line(value)
    for special in ("\\", '"', "$"):
        text = text.replace(special, f"\\{special}")
    return Quoted(f'"{text}"')


def one_line(value: object) -> str:
    """Return a text for a place that ends with its line.

    Raises: ValueError, where it has more than one.
    """
    text = value if isinstance(value, str) else str(value)
    if _ENDS_A_LINE.search(text):
        raise ValueError(f"{text[:60]!r} must be one line")
    return text


def _bare_word(value: object) -> str:
    if isinstance(value, Quoted):
        return value
    return _matching(value, _BARE_WORD, "one word: quote it with `| haproxy`")


def _in_a_string_of_r(value: object) -> str:
    return _matching(value, _IN_A_STRING_OF_R, "plain text without quotes")


def _matching(value: object, pattern: re.Pattern[str], must: str) -> str:
    text = str(value)
    if not pattern.match(text):
        raise ValueError(f"{text[:60]!r} must be {must}")
    return text


def last_look_at(name: str) -> Callable[[object], str] | None:
    """Return what looks at each value of a template before it is put there; None, where it is escaped otherwise."""
    if name.endswith("Containerfile"):
        return one_line
    if name == "haproxy.cfg":
        return _bare_word
    return _in_a_string_of_r if name == "build/r.sh" else None
