"""What an operator types. Each command imports what it needs when it runs, so that help comes at once."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from binder import __version__

app = typer.Typer(
    name="binder",
    help="Opens the notebooks of a repository live, for every commit.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

EXIT_CODES = {"visitor": 2, "repository": 3, "operator": 4, "world": 5}
"""What `binder` exits with, by the party at fault."""


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


@app.command()
def serve(
    ephemeral: Annotated[bool, typer.Option(help="End all sessions when the service stops.")] = False,
    part: Annotated[
        Literal["all", "proxy", "controller"],
        typer.Option(help="Only what visitors and GitHub meet, or only what builds and runs: with Kubernetes."),
    ] = "all",
) -> None:
    """Run the service: deliveries in, builds, sessions, pages and reports out. Settings: `BINDER_…` variables."""
    from binder.cli.serve import serve_until_stopped  # noqa: PLC0415

    serve_until_stopped(part=part, ephemeral=ephemeral)


@app.command()
def preload(
    dry_run: Annotated[bool, typer.Option(help="Only show what would be brought.")] = False,
) -> None:
    """Bring the images of likely previews to the cluster's nodes now, within BINDER_PRELOAD_DISK_BYTES."""
    from binder.cli.preload import bring_images  # noqa: PLC0415

    bring_images(dry_run=dry_run)


@app.command()
def setup() -> None:
    """Print a code for the page `/setup` of the running service: there a GitHub App is made for it in one click."""
    from binder.cli.setup import invite  # noqa: PLC0415

    invite()


@app.command()
def demo(
    once: Annotated[bool, typer.Option(help="Check everything as a client would, then stop and remove it.")] = False,
    port: Annotated[int, typer.Option(help="Where visitors reach the service; 0 takes any free port.")] = 8585,
    github_port: Annotated[int, typer.Option(help="Where the stand-in for GitHub listens; 0 takes any.")] = 8586,
) -> None:
    """Run the main job here, with a stand-in for GitHub: a push becomes a link that opens a live notebook."""
    from binder.cli.demo import run_demo  # noqa: PLC0415

    run_demo(once=once, port=port, github_port=github_port)


@app.command()
def preview(
    repository: Annotated[str, typer.Argument(help="A folder with a git repository, or the address of one.")],
    ref: Annotated[str, typer.Option(help="A branch, a tag or a commit.")] = "HEAD",
    port: Annotated[int, typer.Option(help="Where the notebook is reached; 0 takes any free port.")] = 8585,
    once: Annotated[bool, typer.Option(help="Stop as soon as the notebook has answered.")] = False,
) -> None:
    """Build a repository of your own and open it, with no GitHub at all.

    Example: `binder preview . --ref main`
    """
    from binder.cli.preview import run_preview  # noqa: PLC0415

    run_preview(repository, ref=ref, port=port, once=once)


@app.command()
def lock(
    folder: Annotated[Path, typer.Argument(help="A folder of a git repository.")] = Path(),
) -> None:
    """Resolve what a repository asks for, and write it down as `binder.lock`: the same packages from then on."""
    from binder.cli.lock import run_lock  # noqa: PLC0415

    run_lock(folder)


@app.command(hidden=True)
def build_job(order: Annotated[Path, typer.Argument(help="The file with the order.")]) -> None:
    """Do one build, as the pod of a builder does it: told by its order, and telling of it on its output."""
    from binder.cli.build_job import run_build_job  # noqa: PLC0415

    run_build_job(order)


@app.command()
def doctor() -> None:
    """Tell what this machine lacks, and the command that mends it."""
    from binder.cli.doctor import examine  # noqa: PLC0415

    examine()


@app.command()
def gc(
    delete: Annotated[bool, typer.Option(help="Remove it; without this, nothing is changed.")] = False,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, metavar="DAYS", help="Remove what was not used for so long. Default: the setting, or 30."),
    ] = None,
    disk_budget: Annotated[
        float | None,
        typer.Option(min=0, metavar="GB", help="Remove the longest unused until images take no more than this."),
    ] = None,
    registry: Annotated[
        bool,
        typer.Option(help="Of the registry instead; only where all who use it share this machine's cache or store."),
    ] = False,
) -> None:
    """Show the images, git objects and locks that nobody needs any more, and why; `--delete` removes them.

    What a preview, a build or a session needs always stays, and so does what was used within the last hours.
    """
    from binder.cli.gc import collect_garbage, collect_registry_garbage  # noqa: PLC0415

    if registry:
        collect_registry_garbage(delete=delete, older_than_days=older_than)
    else:
        collect_garbage(delete=delete, older_than_days=older_than, disk_budget_gb=disk_budget)


@app.command()
def why(
    commit: Annotated[str, typer.Argument(metavar="SHA", help="The commit: its sha, or the first 7 letters or more.")],
    repository: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Of this repository, where several have such a commit.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what happened to a commit, and why: deliveries, decisions, builds, sessions and reports, with their times.

    Example: `binder why 0123abc --repository ada/notebooks`
    """
    from binder.cli.why import tell_why  # noqa: PLC0415

    tell_why(commit, repository=repository, as_json=as_json)


@app.command()
def images(
    push: Annotated[
        str | None,
        typer.Option(metavar="HOST/PATH", help="Push them to a registry: `HOST/PATH/service` and so on."),
    ] = None,
) -> None:
    """Make the images that a cluster runs this service from, and print their names as values of the chart.

    Example: `binder images --push registry.example.org/binder > images.yaml`. `BINDER_REGISTRY_…` says how to sign in.
    """
    from binder.cli.images import make_images  # noqa: PLC0415

    make_images(push)


def main() -> None:
    """Run the command line; a fault is one sentence, and an exit code that says whose it is."""
    from binder.errors import BinderError  # noqa: PLC0415

    try:
        app()
    except BinderError as error:
        typer.secho(f"binder: {error.message}", fg=typer.colors.RED, err=True)
        sys.exit(EXIT_CODES[error.party])
