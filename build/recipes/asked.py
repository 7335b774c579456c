"""What is asked of package indexes, put together from all the files that ask: what a resolver gets.

Owns the walk along `-r` and `-c`, and the places that lists refer to. `build.recipes.requirements` reads what a list
says.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from binder.errors import RepositoryFault
from build.recipes.reading import Reading, path_within
from build.recipes.requirements import Reference, Requirements, package_named, read_requirements
from build.recipes.runtime import Requires

OWN_PREFIX = ".binder-"
"""Names of files that are made here begin so; a repository's own lists must not."""

_T = TypeVar("_T")
PYPI = re.compile(r"\Ahttps?://(?:pypi|pypi\.python)\.org/simple/?\Z")
INDEX = re.compile(r"\Ahttps?://[!-~]{1,2000}\Z")
_MOST_LISTS = 100
_MOST_BYTES = 2**21
_NO_LIST_HOLDS = re.compile(r"""[;#\[\]\\"'$%]""")
_INSTALLABLE = (".whl", ".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True)
class Project:
    """A part of the repository that is itself installed: a folder ("" is the root), or an archive of a package."""

    path: str
    editable: bool = False
    extras: tuple[str, ...] = ()


@dataclass(frozen=True)
class BuildSystem:
    """What a project is built with: requirements, each of one line, and the `file` that says so.

    `lines` maps a package's normalised name to the line of that file that asks for it.
    """

    file: str
    requires: tuple[str, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """What is asked of package indexes, so far.

    `texts` maps paths to requirement files, of which `roots` are asked for and `constraints` only bound them; `lines`
    maps a package's normalised name to the file and line that ask for it; `places` are yet to be looked into.
    `build_systems` maps the paths of places to what they are built with.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    roots: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    lines: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    index_options: tuple[str, ...] = ()
    places: tuple[Project, ...] = ()
    requires: tuple[Requires, ...] = ()
    reads_tree: bool = False
    build_systems: Mapping[str, BuildSystem] = field(default_factory=dict)


def joined(*parts: Asked) -> Asked:
    """Return what all of these ask for; the first to name a package is the one to be named."""
    return Asked(
        texts={path: text for part in parts for path, text in part.texts.items()},
        roots=_once(root for part in parts for root in part.roots),
        constraints=_once(path for part in parts for path in part.constraints),
        lines={name: place for part in reversed(parts) for name, place in part.lines.items()},
        index_options=_once(option for part in parts for option in part.index_options),
        places=_places(place for part in parts for place in part.places),
        requires=_once(one for part in parts for one in part.requires),
        reads_tree=any(part.reads_tree for part in parts),
        build_systems={path: system for part in parts for path, system in part.build_systems.items()},
    )


def made_list(name: str, lines: Iterable[str], named: Mapping[str, tuple[str, int]]) -> Asked:
    """Return a list that is made here of what other files ask for; `named` maps packages to files and lines."""
    asked = tuple(lines)
    packages = [package for line in asked if (package := package_named(line))]
    places = {package: named[package] for package in packages if package in named}
    path = f"{OWN_PREFIX}{name}.txt"
    return Asked({path: "".join(f"{line}\n" for line in asked)}, (path,), lines=places) if asked else Asked()


def made_constraints(name: str, lines: Iterable[str]) -> Asked:
    """Return a list of constraints that is made here."""
    text = "".join(f"{line}\n" for line in lines)
    path = f"{OWN_PREFIX}{name}.txt"
    return Asked({path: text}, constraints=(path,)) if text else Asked()


def listed(reading: Reading, root: Requirements, *, kept_as: str | None = None, places_from: str = "") -> Asked:
    """Return what a list asks for, with the lists that it includes.

    Places that are installed are seen from the folder `places_from`, as pip sees them from where it runs. A list that
    is a part of another file is kept under a path of its own, `kept_as`, in the same folder.

    Raises: NotReadYet; RepositoryFault, with the line.
    """
    found, places = {root.path: root}, list[Project]()
    level = [root]
    while level:
        leading = [(one, reference) for one in level for reference in one.references]
        places += [
            _place(reading, one, reference, places_from) for one, reference in leading if reference.kind == "place"
        ]
        paths = _once(_list(reading, one, reference) for one, reference in leading if reference.kind == "list")
        new = [path for path in paths if path not in found]
        reading.require(*new)
        level = [read_requirements(path, reading.text(path)) for path in new]
        found |= {one.path: one for one in level}
        if len(found) > _MOST_LISTS or sum(len(one.text) for one in found.values()) > _MOST_BYTES:
            raise RepositoryFault(f"{root.path} includes more lists than anybody could read.", file=root.path)
    lists, own = list(found.values()), kept_as or root.path
    return Asked(
        texts={own if one is root else one.path: one.text for one in lists},
        roots=(own,),
        lines={name: (one.path, line) for one in reversed(lists) for name, line in one.lines.items()},
        index_options=_once(option for one in lists for option in one.index_options),
        places=_places(places),
    )


def index_option(path: str, url: str | None) -> str | None:
    """Return the option for an index besides PyPI, for which the host has its own; None where there is none.

    Raises: RepositoryFault.
    """
    if url is None or PYPI.match(url):
        return None
    if not INDEX.match(url):
        raise RepositoryFault(f"{path} takes packages from {url[:80]!r}, which is no address of an index.", file=path)
    return f"--extra-index-url {url}"


def place_problem(reading: Reading, path: str) -> str | None:
    """Return what is wrong with installing a place of the repository, or None."""
    if not path.isprintable() or _NO_LIST_HOLDS.search(path):
        return f"installs {path!r}, which has characters in its name that no list of packages can hold"
    if path in reading.files:
        is_package = reading.files[path].mode.startswith("100") and path.endswith(_INSTALLABLE)
        return None if is_package else f"installs {path}, which is neither a folder nor a package"
    if any(f"{path}/{name}".lstrip("/") in reading.files for name in ("pyproject.toml", "setup.py")):
        return None
    place = path or "the repository itself"
    return f"installs {place}, where there is neither a pyproject.toml nor a setup.py"


def _list(reading: Reading, one: Requirements, reference: Reference) -> str:
    path = path_within(one.path.rpartition("/")[0], reference.path)
    if not path:
        raise _fault(one, reference, f"includes {reference.path}, which is outside of the repository")
    if path.rpartition("/")[2].startswith(OWN_PREFIX):
        raise _fault(one, reference, f"includes {path}; names that begin with {OWN_PREFIX} are kept for Binder's own")
    if path not in reading.files:
        raise _fault(one, reference, f"includes {path}, which the repository does not have")
    return path


def _place(reading: Reading, one: Requirements, reference: Reference, places_from: str) -> Project:
    path = path_within(places_from, reference.path)
    if path is None:
        raise _fault(one, reference, f"installs {reference.path}, which is outside of the repository")
    if problem := place_problem(reading, path):
        raise _fault(one, reference, problem)
    return Project(path, reference.editable, reference.extras)


def _fault(one: Requirements, reference: Reference, problem: str) -> RepositoryFault:
    return RepositoryFault(f"{one.path} line {reference.line} {problem}.", file=one.path, line=reference.line)


def _once(things: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(things))


def _places(places: Iterable[Project]) -> tuple[Project, ...]:
    """Return each place once, with all the extras that are asked of it."""
    found: dict[str, Project] = {}
    for place in places:
        had = found.get(place.path, place)
        extras = tuple(sorted({*had.extras, *place.extras}))
        found[place.path] = Project(place.path, had.editable or place.editable, extras)
    return tuple(found.values())
