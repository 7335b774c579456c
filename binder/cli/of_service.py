"""Commands about the service and the machine that it runs on."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from binder.cli.words import SERVICE, command


@command(SERVICE, "binder serve", "binder serve --part proxy")
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


@command(SERVICE, "binder setup")
def setup() -> None:
    """Print a code for the page `/setup` of the running service: there a GitHub App is made for it in one click."""
    from binder.cli.setup import invite  # noqa: PLC0415

    invite()


@command(SERVICE, "binder token laptop", "binder token --list", "binder token laptop --remove")
def token(
    name: Annotated[str | None, typer.Argument(help="What the token is for; it is told apart by that.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Show the tokens that there are.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Have the token of this name open nothing more.")] = False,
    days: Annotated[
        float | None, typer.Option(min=0, help="How long it is good. Default: until it is removed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a token with which commands elsewhere may work with this service: they are given it as BINDER_TOKEN.

    It is shown once: the store keeps no more than its digest.
    """
    from binder.cli.token import work_on_tokens  # noqa: PLC0415

    work_on_tokens(name, show=show, remove=remove, days=days, as_json=as_json)


@command(SERVICE, "binder cluster", "binder cluster --json")
def cluster(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show what sessions run on, how much of it is taken, and how much is left: this machine, or a cluster's nodes."""
    from binder.cli.cluster import show_cluster  # noqa: PLC0415

    show_cluster(as_json=as_json)


@command(SERVICE, "binder doctor")
def doctor() -> None:
    """Tell what this machine lacks, and the command that mends it."""
    from binder.cli.doctor import examine  # noqa: PLC0415

    examine()


@command(SERVICE, "binder backup /srv/backups/monday.zip", "binder backup --with-keys /srv/backups/monday.zip")
def backup(
    file: Annotated[Path, typer.Argument(help="A file that is not there yet; only this account can read it.")],
    with_keys: Annotated[
        bool,
        typer.Option(help="Put the keys of the GitHub App into it, too: whoever reads it can act as the App."),
    ] = False,
) -> None:
    """Write what cannot be made again to a file, also while the service runs: the store, and the locks of all builds.

    Images are not in it: they are made again of the locks.
    """
    from binder.cli.backup import back_up  # noqa: PLC0415

    back_up(file, with_keys=with_keys)


@command(SERVICE, "binder restore /srv/backups/monday.zip")
def restore(file: Annotated[Path, typer.Argument(help="What `binder backup` wrote.")]) -> None:
    """Put what is in a backup into a state folder and a database that are empty, all of it or nothing.

    Backups of older versions are brought forward, and one of SQLite may go into PostgreSQL, or the other way round.
    """
    from binder.cli.restore import restore_from  # noqa: PLC0415

    restore_from(file)


@command(SERVICE, "binder demo", "binder demo --once --port 0 --github-port 0")
def demo(
    once: Annotated[bool, typer.Option(help="Check everything as a client would, then stop and remove it.")] = False,
    port: Annotated[int, typer.Option(help="Where visitors reach the service; 0 takes any free port.")] = 8585,
    github_port: Annotated[int, typer.Option(help="Where the stand-in for GitHub listens; 0 takes any.")] = 8586,
) -> None:
    """Run the main job here, with a stand-in for GitHub: a push becomes a link that opens a live notebook."""
    from binder.cli.demo import run_demo  # noqa: PLC0415

    run_demo(once=once, port=port, github_port=github_port)
