"""`binder build --module`: the images that components of modules run in, made before anybody asks for them."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from binder.cli.following import Progress
from binder.cli.remote import named_service
from binder.cli.showing import print_json, print_table
from binder.errors import BinderError, OperatorFault, VisitorFault
from binder.log import set_up_logging
from binder.names import new_session_id
from binder.paths import Paths
from binder.plain_yaml import text_at
from binder.process import find_account
from binder.service.builder import Builder, running_builder, wired_git
from binder.service.folders import make_folders
from binder.service.modules import operators_catalogue
from binder.settings import Settings, read_settings
from build.host import find_certificates
from build.log import BuildLog, FileLog
from build.plan import EVERYBODYS
from build.recipes.recipe import recipe_for
from modules.asked import AskedModule
from modules.binding import Chosen, choose_one
from modules.catalogue import Catalogue
from modules.definition import Module

_TAIL_LINES = 20
_ANY_PYTHON = ("3.11",)


def make_module_images(names: Sequence[str], *, as_json: bool) -> None:
    """Make the images of modules, NAME or NAME/VERSION each, of all where none is named, and print which they are.

    Raises: BinderError.
    """
    if named_service():
        raise VisitorFault(
            "Images of modules are made where the service builds: unset BINDER_TOKEN, and run this there."
        )
    settings = read_settings()
    if settings.builds_namespace:
        raise OperatorFault("Builds run on the cluster, and make the images of modules as they are asked for.")
    set_up_logging("error", as_json=False)
    made = asyncio.run(_make(settings, names))
    if as_json:
        print_json(made)
    else:
        rows = [(one["module"], one["version"], one["component"], one["image"]) for one in made]
        print_table(("module", "version", "component", "image"), rows, nothing="There are no modules.")


async def _make(settings: Settings, names: Sequence[str]) -> list[dict[str, Any]]:
    account, paths = find_account(settings.build_account), Paths(settings.state_dir, settings.cache_dir)
    make_folders(paths, account)
    git = wired_git(settings, paths, account, await find_certificates())
    catalogue = await operators_catalogue(settings, paths, git)
    wanted = wanted_modules(catalogue, names)
    if not wanted:
        return []
    async with (
        running_builder(settings, paths, account, catalogue=catalogue) as builder,
        Progress().shown() as progress,
    ):
        found: list[dict[str, Any]] = []
        for module in wanted:
            progress.say(f"Making the images of {module.title} {module.version}")
            found += await _made(builder, module, catalogue)
        return found


def wanted_modules(catalogue: Catalogue, names: Sequence[str]) -> list[Module]:
    """Return the modules that are named, NAME (its highest version) or NAME/VERSION each; all, where none is.

    Raises: VisitorFault, naming those that there are.
    """
    found = []
    for text in names:
        name, _, version = text.partition("/")
        module = catalogue.find(name, version or None)
        if module is None:
            known = ", ".join(f"{one.name}/{one.version}" for one in catalogue.all()) or "none"
            raise VisitorFault(f"There is no module {text!r}. There are: {known}.")
        found.append(module)
    return found if names else [*catalogue.all()]


async def _made(builder: Builder, module: Module, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Make the images of a module for all of its modes, and return them by the component that first has them."""
    chosen = [_chosen(module, mode, catalogue) for mode in module.replicas]
    recipe = recipe_for({}, {}, _ANY_PYTHON)
    work = builder.paths.work / f"modules-{new_session_id()}"
    work.mkdir(mode=0o711)
    log = work / "log"
    notes = BuildLog(FileLog(log), secrets=builder.host.secrets, most_bytes=2**24)
    found: dict[str, str] = {}
    try:
        for number, one in enumerate(chosen):
            place = work / str(number)
            place.mkdir(mode=0o711)
            asked = replace(recipe, modules=(one,))
            for bound in await builder.module_images.bound(asked, EVERYBODYS, notes, place):
                found |= {part.name: part.image for part in bound.components if part.image}
    except BinderError:
        await notes.close()
        _show_end(log)
        raise
    finally:
        await notes.close()
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
    of = {"module": module.name, "version": module.version}
    return [{**of, "component": component, "image": image} for component, image in found.items()]


def _chosen(module: Module, mode: str, catalogue: Catalogue) -> Chosen:
    asked = AskedModule("the command", text_at(module.name, 1), text_at(module.version, 1), text_at(mode, 1))
    return choose_one(asked, catalogue, {})


def _show_end(log: Path) -> None:
    import typer  # noqa: PLC0415

    typer.echo("\n".join(log.read_text(encoding="utf-8").splitlines()[-_TAIL_LINES:]), err=True)
