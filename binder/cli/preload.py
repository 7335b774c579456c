"""`binder preload`: brings the images of likely previews to the cluster's nodes, and shows what is where."""

import asyncio

from rich.console import Console

from binder.errors import OperatorFault
from binder.log import set_up_logging
from binder.service.engines import chosen_preloader
from binder.settings import Settings, read_settings
from binder.store import open_store
from deploy.preload import PreloadFacts, missing

_LONGEST_SECONDS = 3600
_POLL_SECONDS = 1.0


def bring_images(*, dry_run: bool) -> None:
    """Bring what should be on the nodes and is not, and show it; with `dry_run`, only show it.

    Raises: OperatorFault, where there is no cluster, or no budget.
    """
    settings = read_settings()
    if settings.engine != "kubernetes":
        raise OperatorFault("Images are on this machine already: `binder preload` is for BINDER_ENGINE=kubernetes.")
    if not settings.preload_disk_bytes:
        raise OperatorFault("Set BINDER_PRELOAD_DISK_BYTES to what images may take on a node.")
    set_up_logging("warning", as_json=settings.log_json)
    asyncio.run(_bring(Console(), settings, dry_run=dry_run))


async def _bring(console: Console, settings: Settings, *, dry_run: bool) -> None:
    async with (
        asyncio.timeout(_LONGEST_SECONDS),
        open_store(settings.store_url) as store,
        chosen_preloader(settings, store) as preloader,
    ):
        facts = await preloader.look()
        _show(console, facts, settings.preload_copies)
        while not dry_run:
            facts, plan = await preloader.round()
            for pull in plan:
                console.print(f"{pull.node}: bringing {pull.image}", highlight=False)
            if not plan and not facts.busy:
                break
            await asyncio.sleep(_POLL_SECONDS)


def _show(console: Console, facts: PreloadFacts, copies: int) -> None:
    lacking = list(missing(facts, copies))
    ready = len(facts.likely) - len(lacking)
    console.print(f"{ready} of {len(facts.likely)} images are where they should be.", highlight=False)
    for name, having in lacking:
        console.print(f"{name}: on {having} of {len(facts.nodes)} nodes", highlight=False)
