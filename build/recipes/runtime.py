"""What runtime.txt asks for, and which Python it comes to.

Source: https://repo2docker.readthedocs.io/en/latest/configuration/other/#runtime-txt-specifying-runtimes
"""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from binder.errors import RepositoryFault

_PYTHON = re.compile(r"\Apython-([0-9]{1,3})(?:\.([0-9]{1,3}))?(?:\.[0-9]{1,4})?\Z")
_R = re.compile(r"\Ar(?:-([0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,3})?))?(?:-([0-9]{4}-[0-9]{2}-[0-9]{2}))?\Z")
_FORMS = "Write `python-3.11`, or `r-4.2-2024-05-31`."
_LAST_PATCH = 40
_LONGEST_SPECIFIER = 200


@dataclass(frozen=True)
class R:
    """R, as asked for by the file `from_`: `version` x.y or x.y.z, and the day of the packages; None is the default.

    `install` is the path of install.R; `description` is whether the repository is itself an R package.
    """

    version: str | None
    snapshot: date | None
    install: str | None
    description: bool
    from_: str


@dataclass(frozen=True)
class Runtime:
    """What runtime.txt asks for: Python, of a version or any, or R, of a version or any, as of a day or any."""

    language: str
    version: str | None
    snapshot: date | None
    line: int


@dataclass(frozen=True)
class Requires:
    """A range of Pythons, as a specifier, and who says so."""

    specifier: str
    file: str
    line: int | None


def runtime_of(path: str, text: str) -> Runtime | None:
    """Return what runtime.txt asks for, or None if it is empty.

    Raises: RepositoryFault, with the line.
    """
    said = text.strip()
    if not said:
        return None
    line = text[: len(text) - len(text.lstrip())].count("\n") + 1
    if python := _PYTHON.match(said):
        return Runtime("python", f"{python[1]}.{python[2]}" if python[2] else None, None, line)
    if found := _R.match(said):
        return Runtime("r", found[1] if found[2] else None, _day(path, found[2], line), line)
    asked = said[:40].splitlines()[0]
    other = f"{path} asks for `{asked}`, which is not available. There are Python and R. {_FORMS}"
    raise RepositoryFault(other, file=path, line=line)


def _day(path: str, text: str | None, line: int) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RepositoryFault(f"{path}: {text} is no day. {_FORMS}", file=path, line=line) from None


def python_version(
    asked: tuple[str, str, int | None] | None, requires: Iterable[Requires], available: tuple[str, ...]
) -> tuple[str | None, str | None]:
    """Return the version of Python, and the file that says so; None and None for the default.

    `asked` is a version with its file and line; `available` holds what there is, the default first.

    Raises: RepositoryFault, naming the file, where there is no such Python.
    """
    ranges = [(one, _specifiers(one)) for one in requires]
    if asked:
        version, file, line = asked
        if version not in available:
            raise RepositoryFault(f"{file} asks for Python {version}. {_there_is(available)}", file=file, line=line)
        for one, specifiers in ranges:
            if not _allows(specifiers, version):
                raise RepositoryFault(
                    f"{file} asks for Python {version}, but {one.file} requires {one.specifier}. Change one of them.",
                    file=file,
                    line=line,
                )
        return version, file
    in_order = (available[0], *sorted(available[1:], key=lambda version: [int(part) for part in version.split(".")]))
    for version in in_order:
        refusing = [one for one, specifiers in ranges if not _allows(specifiers, version)]
        if not refusing:
            return _chosen(version, ranges, available)
    worst = next(one for one, specifiers in ranges if not _allows(specifiers, available[0]))
    message = f"{worst.file} requires Python {worst.specifier}. {_there_is(available)}"
    raise RepositoryFault(message, file=worst.file, line=worst.line)


def _chosen(
    version: str, ranges: list[tuple[Requires, SpecifierSet]], available: tuple[str, ...]
) -> tuple[str | None, str | None]:
    if version == available[0]:
        return None, None
    return version, next(one.file for one, specifiers in ranges if not _allows(specifiers, available[0]))


def _specifiers(requires: Requires) -> SpecifierSet:
    with contextlib.suppress(InvalidSpecifier):
        if len(requires.specifier) <= _LONGEST_SPECIFIER:
            return SpecifierSet(requires.specifier)
    said = requires.specifier[:60]
    message = f"{requires.file} requires Python `{said}`, which is no range of versions. Write `>=3.11`."
    raise RepositoryFault(message, file=requires.file, line=requires.line)


def _allows(specifiers: SpecifierSet, version: str) -> bool:
    """Whether any release of Python x.y is in the range."""
    return any(specifiers.contains(f"{version}.{patch}") for patch in range(_LAST_PATCH))


def _there_is(available: tuple[str, ...]) -> str:
    return f"There is Python {' and '.join(available)} here. An environment.yml can ask Conda for others."
