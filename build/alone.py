"""One at a time: what several builds need is made by one of them, in this process and in others of the same cache."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from weakref import WeakValueDictionary

_POLL_SECONDS = 0.05


class Alone:
    """Locks by name; other processes are kept out by locks on files of `folder`, which are gone when nobody waits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._here: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def at(self, name: str) -> AsyncIterator[None]:
        """Wait until nobody else is at the thing of that name, then keep others from it while the block runs."""
        lock = self._here.setdefault(name, asyncio.Lock())
        async with lock:
            path = self._folder / name
            # Waited for in steps: a thread that waits in the kernel could not be broken off.
            while (descriptor := _try(path)) is None:  # noqa: ASYNC110 - another process gives no sign
                await asyncio.sleep(_POLL_SECONDS)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
                os.close(descriptor)


def _try(path: Path) -> int | None:
    """Return the descriptor of the locked file, or None where another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        # Whoever had it removed it after we had opened it: others lock a new one.
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None
