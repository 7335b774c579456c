"""The loops of a part of the service: begun together, ended together, and none may end by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from binder.loop import Hint, run_loop

_POLL_SECONDS = 2.0


class Loops:
    """Loops that run until they are stopped; each looks at each hint of `changed`, or at one of its own."""

    def __init__(self, changed: Hint) -> None:
        self._changed = changed
        self._tasks: list[asyncio.Task[None]] = []

    def run(
        self, name: str, step: Callable[[], Awaitable[bool]], hint: Hint | None = None, *, always_rests: bool = False
    ) -> None:
        """Begin a loop; see `run_loop`."""
        hint = hint or self._changed
        loop = run_loop(name, step, hint, poll_seconds=_POLL_SECONDS, always_rests=always_rests)
        self._tasks.append(asyncio.create_task(loop, name=name))

    def add(self, name: str, loop: Coroutine[None, None, None]) -> None:
        """Begin a loop that knows by itself when to look."""
        self._tasks.append(asyncio.create_task(loop, name=name))

    async def broken(self) -> None:
        """Wait until a loop ends, which none may.

        Raises: what ended it.
        """
        if not self._tasks:
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task

    async def stop(self) -> None:
        """End all loops."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
