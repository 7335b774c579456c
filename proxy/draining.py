"""The end of a proxy that others take over from: no new visitors are sent to it, those who are there may stay a while.

`is_drained` is pure. `/health` says at once that it is at its end; those who balance loads take some seconds to hear of
it, and until then whoever comes is served as ever.
"""

import asyncio
import time
from typing import Protocol

from binder.errors import OperatorFault
from binder.log import logger

log = logger(__name__)

_LOOK_SECONDS = 0.5
_HEARD_SECONDS = 5.0


class Connections(Protocol):
    """Who counts visitors' connections."""

    async def open_connections(self) -> int:
        """Return how many are open.

        Raises: OperatorFault, where it cannot be told.
        """


class Draining:
    """Whether this proxy is at its end."""

    def __init__(self) -> None:
        self._has_begun = False

    async def check(self) -> None:
        """Raise OperatorFault where no new visitors should come."""
        if self._has_begun:
            raise OperatorFault("This proxy is about to end.")

    async def drain(self, connections: Connections, *, seconds: float) -> None:
        """Send new visitors elsewhere, and wait until those who are there have left, but no longer than `seconds`."""
        if not seconds:
            return
        self._has_begun = True
        began = time.monotonic()
        log.info("drain_began", seconds_at_most=seconds)
        while not is_drained(await _open(connections), time.monotonic() - began, seconds):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        log.info("drain_ended", seconds=round(time.monotonic() - began, 1))


async def _open(connections: Connections) -> int | None:
    try:
        return await connections.open_connections()
    except OperatorFault:
        return None


def is_drained(connections: int | None, passed_seconds: float, most_seconds: float) -> bool:
    """Whether nobody is to be waited for any more; `connections` is None where nobody knows. Pure."""
    if passed_seconds >= most_seconds:
        return True
    return connections == 0 and passed_seconds >= _HEARD_SECONDS
