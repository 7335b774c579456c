"""Commands about images: where they are brought, kept and removed."""

from pathlib import Path
from typing import Annotated

import typer

from binder.cli.words import IMAGES, command


@command(
    IMAGES, "binder upload ada/notebooks registry.example.org/binder", "binder upload 12 registry.example.org/binder"
)
def upload(
    what: Annotated[str, typer.Argument(metavar="OWNER/NAME|BUILD", help="A binder, or the number of a build.")],
    to: Annotated[str, typer.Argument(metavar="HOST/PATH", help="A repository of a registry.")],
    ref: Annotated[str, typer.Option(help="A branch, a tag or a commit of the binder.")] = "HEAD",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Push the images of a binder, its modules' too, from this machine to a registry, and print their digests.

    `BINDER_REGISTRY_USERNAME` and `BINDER_REGISTRY_PASSWORD` say how to sign in.
    """
    from binder.cli.upload import upload_images  # noqa: PLC0415

    upload_images(what, to, ref=ref, as_json=as_json)


@command(IMAGES, "binder preload --dry-run")
def preload(
    dry_run: Annotated[bool, typer.Option(help="Only show what would be brought.")] = False,
) -> None:
    """Bring the images of likely previews to the cluster's nodes now, within BINDER_PRELOAD_DISK_BYTES."""
    from binder.cli.preload import bring_images  # noqa: PLC0415

    bring_images(dry_run=dry_run)


@command(IMAGES, "binder images", "binder images --push registry.example.org/binder > images.yaml")
def images(
    push: Annotated[
        str | None,
        typer.Option(metavar="HOST/PATH", help="Push them to a registry: `HOST/PATH/service` and so on."),
    ] = None,
) -> None:
    """Make the images that a cluster runs this service from, and print their names as values of the chart.

    `BINDER_REGISTRY_…` says how to sign in.
    """
    from binder.cli.images import make_images  # noqa: PLC0415

    make_images(push)


@command(IMAGES, "binder gc", "binder gc --older-than 30 --delete")
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


@command(IMAGES, hidden=True)
def build_job(order: Annotated[Path, typer.Argument(help="The file with the order.")]) -> None:
    """Do one build, as the pod of a builder does it: told by its order, and telling of it on its output."""
    from binder.cli.build_job import run_build_job  # noqa: PLC0415

    run_build_job(order)
