"""What a lock of another tool pins, in one form for all such tools: a lock bounds what its manifest asks for.

Packages of an index become constraints; what a lock takes from elsewhere (a commit, an address, a folder of the
repository) is asked for itself, where it is needed at all. How each tool writes its lock is read by modules of their
own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from binder.errors import RepositoryFault
from build.recipes.asked import Asked, Project, index_option, joined, made_constraints, made_list
from build.recipes.reading import path_within
from build.recipes.requirements import requirement_of
from build.recipes.runtime import Requires


@dataclass(frozen=True)
class Need:
    """A package that another one needs, by its normalised name, with extras, on a condition or always."""

    name: str
    extras: tuple[str, ...] = ()
    marker: str | None = None


@dataclass(frozen=True)
class Package:
    """A package that a lock pins; at most one of `url` and `place` (a path of the repository) says where else it is.

    `needs` maps an extra to what it needs besides ("" is always). Of a `virtual` place, nothing but its needs is
    installed. Where a lock has several of one name, `marker` says when it is this one; None where it does not say.
    """

    name: str
    version: str | None = None
    marker: str | None = None
    url: str | None = None
    place: str | None = None
    editable: bool = False
    virtual: bool = False
    index: str | None = None
    needs: Mapping[str, tuple[Need, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pins:
    """All that a lock says."""

    path: str
    packages: tuple[Package, ...]
    requires: tuple[Requires, ...] = ()


def bounded(pins: Pins, roots: Mapping[str, Need], named: Mapping[str, tuple[str, int]]) -> Asked:
    """Return what the roots ask for, within a lock; `roots` maps a requirement's line to what it needs.

    Raises: RepositoryFault.
    """
    by_name: dict[str, list[Package]] = {}
    for package in pins.packages:
        by_name.setdefault(package.name, []).append(package)
    reached = _reached(by_name, roots.values())
    local = {one.name for one, _ in reached if one.place is not None}
    lines = [line for line, need in roots.items() if need.name not in local]
    for one, extras in reached:
        if one.url:
            lines.append(_line(pins, f"{one.name} @ {one.url}", one.marker))
        elif one.place is not None:
            needs = [need for extra in ("", *extras) for need in one.needs.get(extra, ()) if need.name not in local]
            lines += [line_of(pins.path, need) for need in needs]
    options = tuple(dict.fromkeys(option for one, _ in reached if (option := index_option(pins.path, one.index))))
    places = [
        Project(one.place, one.editable, tuple(sorted(extras)))
        for one, extras in reached
        if one.place is not None and not one.virtual
    ]
    return joined(
        made_list("locked", dict.fromkeys([*options, *lines]), named),
        made_constraints("pins", _constraints(pins)),
        Asked(places=tuple(places), requires=pins.requires, index_options=options),
    )


def line_of(path: str, need: Need) -> str:
    """Return the requirement's line that asks for what is needed.

    Raises: RepositoryFault.
    """
    extras = f"[{','.join(need.extras)}]" if need.extras else ""
    return requirement_of(f"{need.name}{extras}" + (f" ; {need.marker}" if need.marker else ""), path)


def place_in(path: str, said: str) -> str:
    """Return where a path that a lock names is in the repository.

    Raises: RepositoryFault.
    """
    place = path_within(path.rpartition("/")[0], said)
    if place is None:
        raise RepositoryFault(f"{path} installs {said[:80]}, which is outside of the repository.", file=path)
    return place


def either(conditions: Iterable[str]) -> str | None:
    """Return the marker that holds where any of these does, or None for none."""
    return " or ".join(f"({condition})" for condition in conditions) or None


def _reached(by_name: Mapping[str, list[Package]], roots: Iterable[Need]) -> list[tuple[Package, list[str]]]:
    """Return the packages that are needed, in the order in which they are found, each with its extras."""
    todo = [(need.name, extra) for need in roots for extra in ("", *need.extras)]
    seen = dict.fromkeys(todo)
    for name, extra in todo:  # grows as it goes
        for package in by_name.get(name, ()):
            for need in package.needs.get(extra, ()):
                new = [(need.name, own) for own in ("", *need.extras) if (need.name, own) not in seen]
                seen |= dict.fromkeys(new)
                todo += new
    extras: dict[str, list[str]] = {}
    for name, extra in todo:
        extras.setdefault(name, []).extend([extra] if extra else [])
    return [(package, found) for name, found in extras.items() for package in by_name.get(name, ())]


def _constraints(pins: Pins) -> list[str]:
    """Return the pins, but for names that a lock has several versions of without saying when each holds."""
    versions = Counter(one.name for one in pins.packages)
    unclear = {one.name for one in pins.packages if versions[one.name] > 1 and one.marker is None}
    exact = [one for one in pins.packages if one.version and one.url is None and one.place is None]
    return [
        _line(pins, f"{one.name}=={one.version}", one.marker if versions[one.name] > 1 else None)
        for one in exact
        if one.name not in unclear
    ]


def _line(pins: Pins, said: str, marker: str | None) -> str:
    return requirement_of(f"{said} ; {marker}" if marker else said, pins.path)
