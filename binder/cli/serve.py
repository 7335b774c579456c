"""`binder serve`: the service, until a signal ends it."""

import asyncio
import gc
import signal

from binder.log import logger, set_up_logging
from binder.service import running_service
from binder.service.parts import Part
from binder.settings import Settings, read_settings

log = logger(__name__)


def serve_until_stopped(*, part: Part, ephemeral: bool) -> None:
    """Run the service that the environment describes until SIGTERM or SIGINT."""
    settings = read_settings()
    set_up_logging(settings.log_level, as_json=settings.log_json)
    asyncio.run(_serve(settings, part, ephemeral=ephemeral))


async def _serve(settings: Settings, part: Part, *, ephemeral: bool) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with running_service(settings, part=part, ephemeral=ephemeral) as service:
        # What there is now stays for good: looking it all through again, as a full collection does, stops everything
        # for a quarter of a second.
        gc.collect()
        gc.freeze()
        log.info("service_started", url=settings.url, part=part)
        await service.until_broken_or(stopping)
    log.info("service_stopped")
