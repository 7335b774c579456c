"""Commands about binders, their builds and their sessions: of a service that runs, or of this machine's store alone."""

from typing import Annotated, Literal

import typer

from binder.cli.completing import complete_modules, complete_sessions
from binder.cli.words import BINDERS, command

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Ref = Annotated[str, typer.Option(help="A branch, a tag or a commit.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", metavar="MODULE.NAME=VALUE", help="A parameter of a module; may be given again."),
]
Mode = Annotated[
    Literal["single-node", "multi-node"] | None,
    typer.Option(help="How its modules run: beside the notebook, or on nodes of their own."),
]
_A_BINDER = "OWNER/NAME on GitHub, the address of a repository, or a folder of this machine."


@command(
    BINDERS, "binder list", "binder list sessions --json", "binder list builds --repository ada/notebooks", name="list"
)
def show(
    what: Annotated[
        Literal["binders", "modules", "builds", "sessions"], typer.Argument(help="What to list.")
    ] = "binders",
    repository: Annotated[str | None, typer.Option(metavar="OWNER/NAME", help="Only of this repository.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what is over: sessions that ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, the newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List binders, modules, builds or sessions, the newest first."""
    from binder.cli.listing import show_list  # noqa: PLC0415

    show_list(what, repository=repository, everything=everything, limit=limit, as_json=as_json)


@command(
    BINDERS,
    "binder build ada/notebooks --ref main",
    "binder build . --json",
    "binder build --all",
    "binder build --module postgres",
)
def build(
    repository: Annotated[str | None, typer.Argument(metavar="REPOSITORY", help=_A_BINDER)] = None,
    ref: Ref = "HEAD",
    everything: Annotated[bool, typer.Option("--all", help="The heads of all previews that are live.")] = False,
    module: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[/VERSION]",
            help="The images of a module; may be given again.",
            autocompletion=complete_modules,
        ),
    ] = None,
    modules: Annotated[bool, typer.Option("--modules", help="The images of all modules.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also where a build of the commit failed before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build a repository, everything that is live, or the images of modules; what is there is not built again."""
    from binder.cli.building import build_all, build_modules, build_one  # noqa: PLC0415

    if sum((repository is not None, everything, bool(module or modules))) != 1:
        raise typer.BadParameter("Say what to build: a repository, --all, --module NAME or --modules.")
    if module or modules:
        build_modules(module or [], as_json=as_json)
    elif repository is None:
        build_all(again=again, as_json=as_json)
    else:
        build_one(repository, ref=ref, again=again, as_json=as_json)


@command(
    BINDERS,
    "binder deploy ada/notebooks",
    "binder deploy ada/spark --mode multi-node --parameter spark.workers=3",
)
def deploy(
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help=_A_BINDER)],
    ref: Ref = "HEAD",
    mode: Mode = None,
    parameter: Parameters = None,
    as_json: AsJson = False,
) -> None:
    """Start a session of a binder for yourself, and print its link; what is not built yet is built first.

    Where no service runs on this machine, and none is named, it serves the session itself, until Ctrl-C.
    """
    from binder.cli.deploying import deploy_binder  # noqa: PLC0415

    deploy_binder(repository, ref=ref, mode=mode, parameters=parameter or [], as_json=as_json)


@command(BINDERS, "binder stop s7k3mzq2vbnw4hxd", "binder stop --inactive-since 60 --yes", "binder stop --all")
def stop(
    session: Annotated[
        str | None, typer.Argument(help="The id of a session.", autocompletion=complete_sessions)
    ] = None,
    inactive_since: Annotated[
        float | None, typer.Option(min=0, metavar="MINUTES", help="Open sessions that nobody used for so long.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All sessions, standbys too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop a session, those that nobody uses, or all of them; what was changed in them is lost."""
    from binder.cli.stopping import stop_sessions  # noqa: PLC0415

    if sum((session is not None, inactive_since is not None, everything)) != 1:
        raise typer.BadParameter("Say what to stop: a session's id, --inactive-since MINUTES or --all.")
    stop_sessions(session, inactive_since_minutes=inactive_since, yes=yes, as_json=as_json)


@command(BINDERS, "binder logs 12", "binder logs 12 --follow", "binder logs s7k3mzq2vbnw4hxd --service postgres-server")
def logs(
    what: Annotated[
        str,
        typer.Argument(
            metavar="BUILD|SESSION",
            help="The number of a build, or the id of a session.",
            autocompletion=complete_sessions,
        ),
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
    service: Annotated[
        str, typer.Option(metavar="NAME", help="A service of the session, in place of its notebook server.")
    ] = "",
) -> None:
    """Print the log of a build, or the last lines of a session's notebook server or of a service beside it."""
    from binder.cli.logs import print_log  # noqa: PLC0415

    print_log(what, service, follow=follow)


@command(BINDERS, "binder why 0123abc --repository ada/notebooks")
def why(
    commit: Annotated[str, typer.Argument(metavar="SHA", help="The commit: its sha, or the first 7 letters or more.")],
    repository: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Of this repository, where several have such a commit.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what happened to a commit, and why: deliveries, decisions, builds, sessions and reports, with times."""
    from binder.cli.why import tell_why  # noqa: PLC0415

    tell_why(commit, repository=repository, as_json=as_json)


@command(BINDERS, "binder render ada/notebooks --engine kubernetes", "binder render 12 --engine podman --format yaml")
def render(
    what: Annotated[str, typer.Argument(metavar="OWNER/NAME|BUILD", help="A binder, or the number of a build.")],
    ref: Ref = "HEAD",
    engine: Annotated[Literal["podman", "kubernetes"], typer.Option(help="Where it would run.")] = "podman",
    mode: Mode = None,
    parameter: Parameters = None,
    shape: Annotated[Literal["json", "yaml"], typer.Option("--format", help="How to print it.")] = "json",
) -> None:
    """Print the manifests that a session of a binder would be started with; secrets are shown as ***."""
    from binder.cli.rendering import render_binder  # noqa: PLC0415

    render_binder(what, ref=ref, engine=engine, mode=mode, parameters=parameter or [], shape=shape)
