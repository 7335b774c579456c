"""What a parameter of a module may be: checks what is asked for, and says in words what is allowed; pure.

A value is written as a text, in a binder.yml or on a command line. No text of it, whatever it holds, gets anywhere but
into the place that a template has for it; here it is held against what the module's author allows.
"""

import re

from modules.definition import Parameter, Value
from modules.patterns import matches

LONGEST_TEXT = 200
"""How long a text may be, whatever its module says."""

_INTEGER = re.compile(r"\A-?[0-9]{1,15}\Z", re.ASCII)
_SIZE = re.compile(r"\A([0-9]{1,6})(?:\.([0-9]{1,3}))? ?([KMGT])i?B?\Z", re.ASCII)
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_FLAGS = {"true": True, "false": False}


class ParameterError(ValueError):
    """A value is not allowed; says what is, in a sentence."""


def value_of(parameter: Parameter, text: str) -> Value:
    """Return the value that a text is for a parameter.

    Raises: ParameterError.
    """
    value = _read(parameter, text)
    if value is None or not _is_allowed(parameter, value):
        shown = text if text.isprintable() and len(text) <= 60 else f"{text[:60]!r}"
        raise ParameterError(f"`{parameter.name}` is {shown or 'empty'}; it must be {allowed_of(parameter)}.")
    return value


def allowed_of(parameter: Parameter) -> str:
    """Return what a parameter may be, as the end of a sentence."""
    if parameter.kind == "flag":
        return "`true` or `false`"
    if parameter.kind == "choice":
        return "one of " + ", ".join(f"`{choice}`" for choice in parameter.choices)
    if parameter.kind == "text":
        least, most = parameter.least or 0, min(parameter.most or LONGEST_TEXT, LONGEST_TEXT)
        length = f"a text of {least} to {most} characters" if least else f"a text of at most {most} characters"
        return f"{length} that matches `{parameter.pattern}`" if parameter.pattern else length
    what, written = ("a whole number", "") if parameter.kind == "integer" else ("a size", ", written as `512 MiB`")
    least_said, most_said = (
        None if bound is None else size_said(bound) if parameter.kind == "size" else str(bound)
        for bound in (parameter.least, parameter.most)
    )
    if least_said and most_said:
        return f"{what} from {least_said} to {most_said}{written}"
    bound = f", {least_said} at least" if least_said else f", {most_said} at most" if most_said else ""
    return f"{what}{bound}{written}"


def said(parameter: Parameter, value: Value) -> str:
    """Return a value as an author writes it: what `value_of` reads as the same."""
    if parameter.kind == "size" and isinstance(value, int):
        return size_said(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def size_of(text: str) -> int | None:
    """Return the bytes that a text such as `512 MiB` stands for; None where it is no such text."""
    found = _SIZE.match(text)
    if not found:
        return None
    unit, fraction = _UNITS[found[3]], found[2] or ""
    thousandths: int = int(fraction.ljust(3, "0"))
    return int(found[1]) * unit + thousandths * unit // 1000


def size_said(size: int) -> str:
    """Return a number of bytes in words: `512 MiB`."""
    for letter, unit in reversed(_UNITS.items()):
        if size >= unit and size * 100 % unit == 0:
            return f"{size / unit:g} {letter}iB"
    return f"{size / 2**10:.3f} KiB"


def _read(parameter: Parameter, text: str) -> Value | None:
    if parameter.kind == "integer":
        return int(text) if _INTEGER.match(text) else None
    if parameter.kind == "size":
        return size_of(text)
    return _FLAGS.get(text) if parameter.kind == "flag" else text


def _is_allowed(parameter: Parameter, value: Value) -> bool:
    if parameter.kind == "choice":
        return value in parameter.choices
    if isinstance(value, bool):
        return True
    if isinstance(value, str):
        return value.isprintable() and _is_text(parameter, value)
    return _is_within(parameter, value)


def _is_text(parameter: Parameter, text: str) -> bool:
    # Its length comes first: nothing long is held against a pattern.
    return (
        len(text) <= LONGEST_TEXT
        and _is_within(parameter, len(text))
        and (parameter.pattern is None or matches(parameter.pattern, text))
    )


def _is_within(parameter: Parameter, number: int) -> bool:
    at_least = parameter.least is None or number >= parameter.least
    return at_least and (parameter.most is None or number <= parameter.most)
