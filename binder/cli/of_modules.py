"""Commands about modules: services that a repository may ask for."""

from pathlib import Path
from typing import Annotated

import typer

from binder.cli.words import MODULES, app, command, new_app

modules = new_app(help="Services that a repository may ask for: see them, begin one of your own, check it.")
app.add_typer(modules, name="modules", rich_help_panel=MODULES)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@command(MODULES, "binder modules list", "binder modules list --json", name="list", of=modules)
def show(as_json: AsJson = False) -> None:
    """Show the modules that repositories may ask for here: ours, and those of BINDER_MODULES."""
    from binder.cli.modules import list_modules  # noqa: PLC0415

    list_modules(as_json=as_json)


@command(MODULES, "binder modules new mailbox 1.0 --into ~/modules", of=modules)
def new(
    name: Annotated[str, typer.Argument(help="What repositories call it.")],
    version: Annotated[str, typer.Argument(help="Its version.")] = "1.0",
    into: Annotated[Path, typer.Option(metavar="FOLDER", help="A folder of modules.")] = Path("modules"),
) -> None:
    """Begin a module of your own: a folder with a definition that works, to be changed."""
    from binder.cli.modules import begin_module  # noqa: PLC0415

    begin_module(name, version, into)


@command(MODULES, "binder modules check ~/modules/mailbox/1.0", of=modules)
def check(
    folder: Annotated[Path, typer.Argument(help="The folder of one version, or one with many modules.")],
    as_json: AsJson = False,
) -> None:
    """Check the definition of a module, and say file and line of what is wrong."""
    from binder.cli.modules import check_modules  # noqa: PLC0415

    check_modules(folder, as_json=as_json)
