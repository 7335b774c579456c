"""What the repository's own projects are built with: what their build systems require, which is a dependency too.

Source: https://packaging.python.org/en/latest/specifications/pyproject-toml/#build-system
"""

from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from binder.errors import RepositoryFault
from build.recipes.asked import BuildSystem, Project
from build.recipes.projects import MANIFEST, Manifest, manifest_of
from build.recipes.reading import Reading, table

_DEFAULT = ("setuptools>=40.8.0",)
_ASKED_LATER = {"setuptools": "wheel", "hatchling": "editables"}
"""What a build system requires only once it runs: setuptools before 70.1, and hatchling of what is editable."""


def build_systems(reading: Reading, places: Iterable[Project]) -> dict[str, BuildSystem]:
    """Return what the parts of the repository are built with that are themselves installed, by their paths.

    Raises: NotReadYet; RepositoryFault, with the line.
    """
    paths = {place.path: f"{place.path}/{MANIFEST}".lstrip("/") for place in places}
    reading.require(*paths.values())
    return {path: _system_of(reading, path, manifest) for path, manifest in paths.items()}


def _system_of(reading: Reading, path: str, manifest: str) -> BuildSystem:
    if path.endswith(".whl") and path in reading.files:
        return BuildSystem(path)
    if manifest in reading.files:
        return _system_in(manifest_of(reading, manifest))
    # What an archive says of itself is not read; most are built so.
    file = path if path in reading.files else f"{path}/setup.py".lstrip("/")
    return BuildSystem(file, _with_later(_DEFAULT))


def _system_in(manifest: Manifest) -> BuildSystem:
    if "build-system" not in manifest.data:
        return BuildSystem(manifest.path, _with_later(_DEFAULT))
    system = table(manifest.data["build-system"])
    if "requires" not in system:
        raise RepositoryFault(
            f"{manifest.path} has a [build-system] that does not say what it requires. Add `requires` to it.",
            file=manifest.path,
        )
    requires = manifest.listed(system["requires"])
    # Another part of the repository may be the source of one.
    sources = table(table(table(manifest.data.get("tool")).get("uv")).get("sources"))
    elsewhere = {canonicalize_name(name) for name in sources}
    of_indexes = [line for line in requires if _name_of(line) not in elsewhere]
    lines = {name: line for name, line in manifest.lines.items() if name in map(_name_of, of_indexes)}
    return BuildSystem(manifest.path, _with_later(of_indexes), lines)


def _with_later(requires: Iterable[str]) -> tuple[str, ...]:
    lines = tuple(requires)
    names = [_name_of(line) for line in lines]
    later = (_ASKED_LATER[name] for name in names if name in _ASKED_LATER)
    return tuple(dict.fromkeys([*lines, *(name for name in later if name not in names)]))


def _name_of(line: str) -> str:
    return canonicalize_name(Requirement(line).name)
