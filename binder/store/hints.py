"""Hints from other processes that share a PostgreSQL: whoever writes notifies, and whoever listens looks again.

A hint that is lost costs nothing but time: loops also look by themselves every few seconds. So a connection that breaks
off is made anew in peace, and everything is looked at again then.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import make_url

from binder.log import logger
from binder.store import NOTIFIED, Store

log = logger(__name__)

_LONGEST_PAUSE_SECONDS = 30.0
_CONNECT_SECONDS = 10
# Whoever is gone without a word is noticed within half a minute: nothing is sent on this connection for hours.
_ALIVE = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}


@asynccontextmanager
async def heard_hints(store: Store) -> AsyncIterator[None]:
    """Give the store's hints for what other processes write, too, while the block runs; SQLite has no others."""
    if not store.is_shared:
        yield
        return
    listening = asyncio.create_task(_listen_for_ever(store), name="hints")
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen_for_ever(store: Store) -> None:
    from psycopg import Error  # noqa: PLC0415 - only where there is a PostgreSQL

    pause = 0.0
    while True:
        try:
            async for heard in _notices(store.url):
                pause = 0.0
                store.take_hint(heard)
        except (Error, OSError) as error:
            pause = min(_LONGEST_PAUSE_SECONDS, max(0.5, pause * 2))
            log.warning("hints_not_heard", reason=str(error).strip(), retry_in_seconds=pause)
        await asyncio.sleep(pause)


async def _notices(url: str) -> AsyncIterator[str]:
    """Give what is notified, after an empty one at the beginning: nobody knows what was notified before.

    Raises: psycopg.Error, OSError.
    """
    from psycopg import AsyncConnection  # noqa: PLC0415 - only where there is a PostgreSQL

    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    named: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, "application_name": "binder-hints", **_ALIVE}
    async with await AsyncConnection.connect(address, autocommit=True, **named) as connection:
        await connection.execute(f"LISTEN {NOTIFIED}")
        yield ""
        async for notice in connection.notifies():
            yield notice.payload
