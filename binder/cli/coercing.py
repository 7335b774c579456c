"""Turns what was typed into values, for the plain kinds that our commands have: words, numbers, choices, paths, flags.

typer has pydantic do that, which takes longer to import than most of our commands take. Any other kind is left to it.
"""

from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import typer

_NUMBERS: Final = {int: "a whole number", float: "a number"}


class Plain:
    """What typer asks for the value of one parameter."""

    def __init__(self, annotation: Any, least: float | None, most: float | None) -> None:
        self._annotation = annotation
        self._least = least
        self._most = most

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value of what was typed.

        Raises: BadParameter.
        """
        many = param.multiple or param.nargs == -1
        if value is None:
            return () if many else None
        try:
            return [self._one(item) for item in value] if many else self._one(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from error

    def _one(self, value: Any) -> Any:
        if get_origin(self._annotation) is Literal:
            choices = get_args(self._annotation)
            if value not in choices:
                raise ValueError(f"{value!r} is none of {', '.join(choices)}.")
            return value
        if self._annotation in _NUMBERS:
            return self._number(value)
        return self._annotation(value)

    def _number(self, value: Any) -> Any:
        try:
            number = self._annotation(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is not {_NUMBERS[self._annotation]}.") from error
        too_small = self._least is not None and not number >= self._least
        if too_small or (self._most is not None and not number <= self._most):
            least = "" if self._least is None else f" {self._least:g} at least"
            most = "" if self._most is None else f" {self._most:g} at most"
            raise ValueError(f"{value} must be{least}{' and' if least and most else ''}{most}.")
        return number


def plainly(param: Any) -> Any:
    """Have a parameter of a plain kind read without pydantic, and return it."""
    described = getattr(param, "type_descriptor", None)
    if described is None or not hasattr(param, "_runtime_param"):
        return param  # another version of typer, which has ways of its own
    annotation, info = described.annotation, described.parameter_info
    if get_origin(annotation) is list:
        (annotation,) = get_args(annotation)
    is_plain = annotation in {str, int, float, bool, Path} or (
        get_origin(annotation) is Literal and all(isinstance(choice, str) for choice in get_args(annotation))
    )
    if is_plain and not described.is_file and info.parser is None:
        param._runtime_param = Plain(annotation, info.min, info.max)  # noqa: SLF001 - there is no other way in
    return param
