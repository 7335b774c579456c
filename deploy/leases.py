"""Keeps a row ours for as long as something is done about it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def leased(renew: Callable[[], Awaitable[None]], lease_seconds: float) -> AsyncIterator[None]:
    """Renew a lease of so many seconds, three times as often as it must be, while the block runs."""

    async def keep() -> None:
        while True:
            await asyncio.sleep(lease_seconds / 3)
            await renew()

    renewing = asyncio.create_task(keep())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
