"""Commands about a repository of one's own, with no GitHub at all."""

from pathlib import Path
from typing import Annotated

import typer

from binder.cli.words import REPOSITORIES, command


@command(REPOSITORIES, "binder preview .", "binder preview https://github.com/ada/notebooks --ref main")
def preview(
    repository: Annotated[str, typer.Argument(help="A folder with a git repository, or the address of one.")],
    ref: Annotated[str, typer.Option(help="A branch, a tag or a commit.")] = "HEAD",
    port: Annotated[int, typer.Option(help="Where the notebook is reached; 0 takes any free port.")] = 8585,
    once: Annotated[bool, typer.Option(help="Stop as soon as the notebook has answered.")] = False,
) -> None:
    """Build a repository of your own and open it, with no GitHub at all."""
    from binder.cli.preview import run_preview  # noqa: PLC0415

    run_preview(repository, ref=ref, port=port, once=once)


@command(REPOSITORIES, "binder lock", "binder lock ~/notebooks")
def lock(
    folder: Annotated[Path, typer.Argument(help="A folder of a git repository.")] = Path(),
) -> None:
    """Resolve what a repository asks for, and write it down as `binder.lock`: the same packages from then on."""
    from binder.cli.lock import run_lock  # noqa: PLC0415

    run_lock(folder)
