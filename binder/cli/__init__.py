"""What an operator types. Each command imports what it needs when it runs, so that help comes at once."""

import sys
from typing import Annotated

import typer

from binder import __version__
from binder.cli import of_binders, of_images, of_modules, of_repositories, of_service
from binder.cli.words import EXIT_CODES, app

__all__ = ["EXIT_CODES", "app", "main", "of_binders", "of_images", "of_modules", "of_repositories", "of_service"]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"binder {__version__}")
        raise typer.Exit


@app.callback()
def _binder(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and end.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line; a fault is one sentence, and an exit code that says whose it is."""
    from binder.errors import BinderError  # noqa: PLC0415
    from binder.plain_text import plain_lines  # noqa: PLC0415

    try:
        app()
    except BinderError as error:
        typer.secho(f"binder: {plain_lines(error.message)}", fg=typer.colors.RED, err=True)
        sys.exit(EXIT_CODES[error.party])
