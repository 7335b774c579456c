"""Checks folders of modules before anybody asks for them: read strictly, and tried with every mode and choice.

What `binder modules check` says. Building the images is left to a build.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from binder.errors import BinderError, OperatorFault, RepositoryFault
from binder.plain_yaml import text_at
from modules.asked import AskedModule
from modules.binding import choose_one
from modules.catalogue import Catalogue
from modules.definition import Module, Parameter
from modules.folders import files_of, module_folders
from modules.parameters import said
from modules.reading import DEFINITION, read_module
from modules.services import Services, services_of

_TOKEN = "a token of the check"  # noqa: S105 - nobody's


@dataclass(frozen=True)
class Checked:
    """What became of a folder: the module, or what is wrong with it. `place` is a path in it, with its line."""

    name: str
    version: str
    folder: Path
    module: Module | None = None
    place: str = ""
    problem: str = ""
    modes: Mapping[str, Services] = field(default_factory=dict)
    """What a session would have, by mode, with all parameters as they are by default."""


def check_folder(folder: Path) -> tuple[Checked, ...]:
    """Check the folder of one module, NAME/VERSION, or all modules in a folder.

    Raises: OperatorFault, where there is none.
    """
    folder = folder.absolute()
    if (folder / DEFINITION).exists():
        return (_checked(folder.parent.name, folder.name, folder),)
    found = tuple(_checked(*one) for one in _modules_in(folder))
    if not found:
        raise OperatorFault(f"{folder} has no {DEFINITION}, nor folders NAME/VERSION in which there is one.")
    return found


def _modules_in(folder: Path) -> Iterator[tuple[str, str, Path]]:
    if any(path.name == DEFINITION for path in folder.glob(f"*/{DEFINITION}")):  # the folder of one name
        yield from ((folder.name, path.parent.name, path.parent) for path in sorted(folder.glob(f"*/{DEFINITION}")))
        return
    yield from (
        (name, version, place) for name, version, place in module_folders(folder) if (place / DEFINITION).exists()
    )


def _checked(name: str, version: str, folder: Path) -> Checked:
    try:
        module = read_module(name, version, files_of(folder), origin=str(folder))
        return Checked(name, version, folder, module, modes=dict(_tried(module)))
    except RepositoryFault as error:
        place = (error.place or "").removeprefix(f"{name}/{version}").lstrip("/")
        return Checked(name, version, folder, place=place, problem=error.message)
    except BinderError as error:
        return Checked(name, version, folder, problem=error.message)


def _tried(module: Module) -> Iterator[tuple[str, Services]]:
    """Give the services of each mode: all templates are filled once, with each bound of the parameters too."""
    for mode in module.replicas:
        for values in ({}, *_extremes(module.parameters)):
            asked = {text_at(name, 1): text_at(value, 1) for name, value in values.items()}
            wanted = AskedModule(DEFINITION, text_at(module.name, 1), mode=text_at(mode, 1), parameters=asked)
            bound = choose_one(wanted, Catalogue().joined([module]), {}).bound(lambda _, image: image.name)
            services = services_of([bound], _TOKEN)
            if not values:
                yield mode, services


def _extremes(parameters: Mapping[str, Parameter]) -> Iterator[dict[str, str]]:
    for parameter in parameters.values():
        if parameter.kind in {"integer", "size"}:
            bounds = [bound for bound in (parameter.least, parameter.most) if bound is not None]
            yield from ({parameter.name: said(parameter, bound)} for bound in bounds)
        elif parameter.kind == "choice":
            yield from ({parameter.name: choice} for choice in parameter.choices)
        elif parameter.kind == "flag":
            yield from ({parameter.name: value} for value in ("true", "false"))
