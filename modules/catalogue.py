"""All modules that can be asked for, by name and version: Binder's own, the operator's, and those of a repository.

Whoever comes later wins: an operator's module stands in the place of Binder's own of the same name and version.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from binder.errors import OperatorFault, RepositoryFault
from modules.definition import Module
from modules.folders import BUILT_IN, files_of, module_folders
from modules.reading import is_name, is_version, read_module

OURS = "Binder"
"""The origin of Binder's own modules."""

REPOSITORY = "the repository"
"""The origin of a module that a repository brings."""


@dataclass(frozen=True)
class Catalogue:
    """Modules: name → version → module."""

    modules: Mapping[str, Mapping[str, Module]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that can be asked for, in order."""
        return tuple(sorted(self.modules))

    def versions(self, name: str) -> tuple[str, ...]:
        """The versions of a module that there are, the highest first; none, where nothing has that name."""
        return tuple(sorted(self.modules.get(name, ()), key=_order, reverse=True))

    def find(self, name: str, version: str | None = None) -> Module | None:
        """Return a module in a version, or in its highest."""
        if version is None:
            version = next(iter(self.versions(name)), None)
        return None if version is None else self.modules.get(name, {}).get(version)

    def all(self) -> tuple[Module, ...]:
        """Return all modules: by name, and the highest version of each first."""
        return tuple(self.modules[name][version] for name in self.names for version in self.versions(name))

    def joined(self, more: Iterable[Module]) -> "Catalogue":
        """Return this catalogue with more modules, which win over those of the same name and version."""
        found = {name: dict(versions) for name, versions in self.modules.items()}
        for module in more:
            found.setdefault(module.name, {})[module.version] = module
        return Catalogue(found)


@cache
def built_in() -> Catalogue:
    """Return Binder's own modules.

    Raises: OperatorFault, where the installation is broken.
    """
    return Catalogue().joined(
        _read(name, version, folder, OURS)
        for name, version, folder in module_folders(BUILT_IN)
        if (folder / "module.yml").exists()
    )


def catalogue_of(folders: Sequence[tuple[Path, str]] = ()) -> Catalogue:
    """Return Binder's own modules and those in an operator's folders, each with what it is called in words.

    Raises: OperatorFault, naming file and line.
    """
    found = built_in()
    for folder, origin in folders:
        found = found.joined(modules_in(folder, origin))
    return found


def modules_in(folder: Path, origin: str) -> list[Module]:
    """Return the modules in a folder, NAME/VERSION/.

    Raises: OperatorFault, naming file and line.
    """
    if not folder.is_dir():
        raise OperatorFault(f"{folder} is no folder, so there are no modules in it (BINDER_MODULES).")
    named = [one for one in module_folders(folder) if is_name(one[0]) and is_version(one[1])]
    if not named:
        raise OperatorFault(f"{folder} holds no module: there must be folders NAME/VERSION with a module.yml in each.")
    return [_read(name, version, place, origin) for name, version, place in named]


def _read(name: str, version: str, folder: Path, origin: str) -> Module:
    try:
        return read_module(name, version, files_of(folder), origin=origin)
    except RepositoryFault as error:
        raise OperatorFault(f"The module in {folder} cannot be used: {error.place}: {error.message}") from error


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
