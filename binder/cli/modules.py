"""`binder modules`: which there are, one of your own to begin with, and what is wrong with one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from binder.cli.remote import named_service
from binder.cli.showing import print_json, print_table
from binder.errors import OperatorFault, RepositoryFault
from binder.service.module_catalogue import catalogue_in
from binder.settings import read_settings
from modules.beginning import new_module
from modules.checking import Checked, check_folder
from proxy.operator_modules import modules_told


def list_modules(*, as_json: bool) -> None:
    """Print the modules that repositories may ask for: of a service that is named, or here.

    Raises: BinderError.
    """
    service = named_service()
    told = service.ask_now("GET", "/api/modules")["items"] if service else modules_told(catalogue_in(read_settings()))
    if as_json:
        print_json(told)
        return
    columns = ("module", "version", "modes", "parameters", "what it is", "from")
    print_table(columns, [_row(module) for module in told], nothing="There are no modules.")


def _row(module: Mapping[str, Any]) -> Sequence[str]:
    modes, parameters = ", ".join(module["modes"]), ", ".join(one["name"] for one in module["parameters"])
    return (module["name"], module["version"], modes, parameters, module["summary"], module["origin"])


def begin_module(name: str, version: str, into: Path) -> None:
    """Write a module to begin with.

    Raises: OperatorFault, where there is one already, or none can be called so.
    """
    folder = into / name / version
    files = new_module(name, version)
    if folder.exists():
        raise OperatorFault(f"{folder} is there already: nothing was written.")
    try:
        for path, content in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    except OSError as error:
        raise OperatorFault(f"{error.filename} cannot be written: {error.strerror}.") from error
    typer.echo(f"{folder} is a module that works. Change it, and run `binder modules check {folder}`.")
    typer.echo(f"Repositories may ask for it once BINDER_MODULES={into.absolute()} is set.", err=True)


def check_modules(folder: Path, *, as_json: bool) -> None:
    """Say what is wrong with the modules in a folder.

    Raises: RepositoryFault, with the first that is wrong; OperatorFault, where there is none.
    """
    checked = check_folder(folder)
    if as_json:
        print_json([_verdict(one) for one in checked])
    else:
        for one in checked:
            typer.echo(_sentence(one))
    bad = [one for one in checked if one.problem]
    if bad:
        raise RepositoryFault(f"{len(bad)} of {len(checked)} modules cannot be used.")


def _verdict(one: Checked) -> Mapping[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "folder": str(one.folder),
        "is_good": not one.problem,
        "place": one.place or None,
        "problem": one.problem or None,
    }


def _sentence(one: Checked) -> str:
    if one.problem:
        place = f"{one.folder / one.place}: " if one.place else ""
        return f"✗ {one.name} {one.version}: {place}{one.problem}"
    modes = "; ".join(f"{mode}: {', '.join(each.name for each in found.services)}" for mode, found in one.modes.items())
    return f"✓ {one.name} {one.version} ({modes})"


def make_images(names: Sequence[str], *, as_json: bool) -> None:
    """Make the images of modules; of all, where none is named.

    Raises: BinderError.
    """
    from binder.cli.module_images import make_module_images  # noqa: PLC0415

    make_module_images(names, as_json=as_json)
