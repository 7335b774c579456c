"""What the DESCRIPTION of an R package asks for, and what Debian calls it: pure functions over its text.

Whether Debian has a package is only known where apt's lists are; what it has not comes from CRAN.
Source: https://cran.r-project.org/doc/manuals/r-release/R-exts.html#The-DESCRIPTION-file
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from binder.errors import RepositoryFault

_FIELDS = ("Depends", "Imports", "LinkingTo")
# What R itself brings is on no mirror.
_PART_OF_R = {"R", "base", "compiler", "datasets", "graphics", "grDevices", "grid", "methods", "parallel", "splines"}
_PART_OF_R |= {"stats", "stats4", "tcltk", "tools", "utils"}
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9@/_.-]*)[ \t]*:(.*)\Z")
_NEED = re.compile(r"\A([A-Za-z][A-Za-z0-9.]*)\s*(?:\(\s*(>=|>|==|<=|<)\s*([0-9][0-9.-]*)\s*\))?\Z")


@dataclass(frozen=True)
class Need:
    """A package of R that is needed. `relation` is `>=` or the like, to `version`; both are empty for any version."""

    name: str
    relation: str
    version: str
    line: int

    @property
    def debian_name(self) -> str:
        """What Debian would call it."""
        return f"r-cran-{self.name.lower()}"


def needs_of(path: str, text: str) -> tuple[Need, ...]:
    """Return what the package of a DESCRIPTION needs, each once, in its order.

    Raises: RepositoryFault, with file and line.
    """
    fields = _fields(path, text)
    if not any(name == "Package" and value.strip() for name, value, _ in fields):
        raise RepositoryFault(
            f"{path} names no Package, so that R cannot install the repository. Add it, or remove the file.", file=path
        )
    needs = [need for name, value, line in fields if name in _FIELDS for need in _needs(path, value, line)]
    return tuple({need.name: need for need in needs if need.name not in _PART_OF_R}.values())


def _fields(path: str, text: str) -> list[tuple[str, str, int]]:
    """Return the fields, each with the line on which it begins; a value keeps its line ends."""
    found: list[tuple[str, str, int]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] in " \t" and found:
            name, value, began = found[-1]
            # What lies between counts: a line at fault is found by counting.
            found[-1] = (name, value + "\n" * (number - began - value.count("\n")) + line, began)
        elif field := _FIELD.match(line):
            found.append((field[1], field[2], number))
        else:
            raise RepositoryFault(
                f"{path} line {number} is neither a field like `Imports: x` nor the rest of one.",
                file=path,
                line=number,
            )
    return found


def _needs(path: str, value: str, began: int) -> list[Need]:
    needs, line = [], began
    for part in value.split(","):
        here = line + part[: len(part) - len(part.lstrip())].count("\n")
        line += part.count("\n")
        if not part.strip():
            continue
        if not (need := _NEED.match(" ".join(part.split()))):
            raise RepositoryFault(
                f"{path} line {here} asks for {part.strip()[:80]!r}, which is no name of an R package.",
                file=path,
                line=here,
            )
        needs.append(Need(need[1], need[2] or "", need[3] or "", here))
    return needs


def preferred_packages(needs: Sequence[Need], *, dated: bool) -> tuple[str, ...]:
    """Return the packages of Debian that spare a build from compiling; none where the packages of a day are wanted."""
    return () if dated else tuple(sorted({need.debian_name for need in needs}))
