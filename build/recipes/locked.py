"""What a repository with a lock of another tool asks for: its manifest asks, and the lock bounds what that comes to."""

from collections.abc import Iterable, Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from binder.errors import RepositoryFault
from build.recipes.asked import Asked, Project, joined, place_problem
from build.recipes.pins import Need, Pins, bounded, line_of
from build.recipes.poetry import POETRY_LOCK, installs_itself, poetry_needs, poetry_pins, poetry_requires
from build.recipes.projects import Manifest, group_of
from build.recipes.pylock import PYLOCK, pylock_pins
from build.recipes.reading import Reading, table, words
from build.recipes.requirements import requirement_of
from build.recipes.uv_lock import UV_LOCK, uv_pins

ROOT = Project("")


def locked_of(reading: Reading, folder: str, manifest: Manifest | None) -> Asked | None:
    """Return what is asked for with a lock, the most general first; None without one.

    Raises: NotReadYet; RepositoryFault.
    """
    path = f"{folder}{PYLOCK}"
    if path in reading.files:
        return _checked(reading, path, _pylock(pylock_pins(reading, path)))
    if manifest and UV_LOCK in reading.files:
        return _checked(reading, UV_LOCK, _uv(uv_pins(reading, UV_LOCK), manifest))
    if manifest and POETRY_LOCK in reading.files:
        return _checked(reading, POETRY_LOCK, _poetry(poetry_pins(reading, POETRY_LOCK), manifest, reading))
    return None


def _checked(reading: Reading, path: str, asked: Asked) -> Asked:
    for place in asked.places:
        if problem := place_problem(reading, place.path):
            raise RepositoryFault(f"{path} {problem}.", file=path)
    return asked


def _pylock(pins: Pins) -> Asked:
    """All of its packages are asked for, each in the version that it names, for it is a list of what to install."""
    roots = {}
    for one in pins.packages:
        exactly = f"=={one.version}" if one.version and not one.url else ""
        condition = f" ; {one.marker}" if one.marker else ""
        roots[requirement_of(f"{one.name}{exactly}{condition}", pins.path)] = Need(one.name)
    return bounded(pins, roots, {})


def _uv(pins: Pins, manifest: Manifest) -> Asked:
    """As `uv sync` does: what the project needs, and the groups that are asked for unless it says otherwise."""
    members = [Need(one.name) for one in pins.packages if one.editable or one.virtual]
    root = next((one for one in pins.packages if one.place == ""), None)
    if manifest.dependencies is not None:
        roots = dict(_needs(manifest.dependencies))
    else:
        roots = {line_of(pins.path, need): need for need in (root.needs.get("", ()) if root else members)}
    settings = table(table(manifest.data.get("tool")).get("uv"))
    chosen = settings.get("default-groups", ["dev"])
    groups = table(manifest.data.get("dependency-groups")) if chosen == "all" else words(chosen)
    for group in groups:
        roots |= _needs(group_of(manifest, group))
    roots |= _needs(manifest.listed(settings.get("dev-dependencies")))
    return bounded(pins, roots, manifest.named)


def _poetry(pins: Pins, manifest: Manifest, reading: Reading) -> Asked:
    """As `poetry install` does: what the project needs, and the groups that are not optional."""
    needs = [*poetry_needs(manifest)]
    roots = {line_of(pins.path, need): need for need in needs} | dict(_needs(manifest.dependencies or ()))
    for group in table(manifest.data.get("dependency-groups")):
        roots |= _needs(group_of(manifest, group))
    asked = joined(bounded(pins, roots, manifest.named), Asked(requires=poetry_requires(manifest)))
    return joined(asked, Asked(places=(ROOT,))) if installs_itself(manifest, reading.files) else asked


def _needs(lines: Iterable[str]) -> Iterator[tuple[str, Need]]:
    for line in lines:
        requirement = Requirement(line)
        extras = tuple(sorted(canonicalize_name(extra) for extra in requirement.extras))
        yield line, Need(canonicalize_name(requirement.name), extras)
