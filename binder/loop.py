"""The shape of every loop: look, decide, act, then wait for a hint or for a while.

A hint says only "look again": the store says what is true. A step that raises is logged and tried again later; a loop
never dies of its work.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from binder.log import logger

log = logger(__name__)

_LONGEST_PAUSE_SECONDS = 30.0
_REST = 3.0
_LONGEST_REST_SECONDS = 5.0


class Hint:
    """A flag that wakes the loops that wait for it; hints that come while a loop works are not lost."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()

    def subscribe(self) -> asyncio.Event:
        """Return an event that every later `give` sets; the subscriber clears it before it looks."""
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def unsubscribe(self, event: asyncio.Event) -> None:
        """Forget a subscriber."""
        self._waiting.discard(event)

    def give(self) -> None:
        """Wake all who wait."""
        for event in self._waiting:
            event.set()


async def wait_for_hint(event: asyncio.Event, timeout_seconds: float) -> None:
    """Wait until `event` is set, but not longer than the time-out."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await event.wait()
    except TimeoutError:
        pass


async def run_loop(
    name: str,
    step: Callable[[], Awaitable[bool]],
    hint: Hint,
    *,
    poll_seconds: float,
    always_rests: bool = False,
) -> None:
    """Run `step` for ever: again at once while it had something to do, else at the next hint or poll.

    After a look that found nothing to do it rests for three times as long as that took: with the service grow both the
    cost of a look and the number of hints, and so a loop takes a quarter of a processor, whatever there is. With
    `always_rests` it rests after each: that is for loops that look at everything, and find something nearly each time.
    """
    event = hint.subscribe()
    pause = 0.0
    while True:
        event.clear()
        began = time.monotonic()
        try:
            busy = await step()
            pause = 0.0
        except Exception:
            pause = min(_LONGEST_PAUSE_SECONDS, max(0.5, pause * 2))
            log.exception("loop_step_failed", loop=name, retry_in_seconds=pause)
            await asyncio.sleep(pause)
            continue
        if always_rests or not busy:
            await asyncio.sleep(rest_after(time.monotonic() - began))
        if not busy:
            await wait_for_hint(event, poll_seconds)


def rest_after(look_seconds: float) -> float:
    """Return how long to rest after a look, in seconds."""
    return min(_LONGEST_REST_SECONDS, _REST * look_seconds)
