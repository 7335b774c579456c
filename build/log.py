"""The log of one build: lines that grow while it works and are kept afterwards, without the secrets that we know of.

Lines are kept in batches, a few times a second: whoever reads along is told of them no later than of the next step.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from binder.errors import BinderError
from binder.log import logger
from binder.loop import wait_for_hint
from binder.store.tables import utc_now

log = logger(__name__)

_MASK = "***"
_SHORTEST_SECRET = 6
_BATCH_SECONDS = 0.2
_BATCH_BYTES = 2**16
_MOST_WAITING_BYTES = 2**20


class Kept(Protocol):
    """Where a log is kept."""

    async def append(self, data: bytes) -> None:
        """Add to its end.

        Raises: BinderError, where that cannot be done now.
        """


class FileLog:
    """A log that is kept in a file, which only this account can read: of work that is nobody's build."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch(0o600)

    async def append(self, data: bytes) -> None:
        """Add to its end."""
        with self.path.open("ab") as file:
            file.write(data)


class BuildLog:
    """Appends to the log of a build until it is full; the owner closes it, in the loop that it was written in."""

    def __init__(self, kept: Kept, *, secrets: Iterable[str], most_bytes: int) -> None:
        self._kept = kept
        self._secrets: list[str] = []
        self._left = most_bytes
        self._waiting = bytearray()
        self._one_at_a_time = asyncio.Lock()
        self._hurry = asyncio.Event()
        self._later: asyncio.Task[None] | None = None
        self._now: asyncio.Task[None] | None = None
        for secret in secrets:
            self.add_secret(secret)

    def add_secret(self, secret: str) -> None:
        """Mask one more secret from now on; one that is so short that ordinary words hold it is let be."""
        if len(secret) >= _SHORTEST_SECRET:
            # The longest first: it may hold another one, of which masking would leave the rest.
            self._secrets = sorted({*self._secrets, secret}, key=len, reverse=True)

    def masked(self, text: str) -> str:
        """Return `text` without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text

    def heading(self, text: str) -> None:
        """Begin a step, at once readable by others."""
        self.line(f"==> {text}  [{utc_now():%H:%M:%S}]")
        self._hurry.set()

    def line(self, text: str) -> None:
        """Write a line, soon readable by others."""
        if self._left <= 0:
            return
        data = self.masked(text).encode(errors="replace") + b"\n"
        self._left -= len(data)
        if self._left <= 0:
            data = b"==> The log is full: what came after this is not kept.\n"
        self._waiting += data
        if len(self._waiting) >= _BATCH_BYTES:
            self._hurry.set()
        if self._later is None:
            self._later = asyncio.create_task(self._flush_later())

    async def take(self, text: str) -> None:
        """Write a line that a child printed; a child that prints faster than lines are kept has to wait."""
        self.line(text)
        if len(self._waiting) > _MOST_WAITING_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Keep all lines that were written; what cannot be kept now is tried again with the next ones."""
        # Whoever is cancelled meanwhile leaves no part behind of which nobody knows whether it is kept.
        self._now = asyncio.create_task(self._flush())
        await asyncio.shield(self._now)

    async def _flush(self) -> None:
        async with self._one_at_a_time:
            while batch := bytes(self._waiting[:_BATCH_BYTES]):
                try:
                    await self._kept.append(batch)
                except BinderError as error:
                    log.warning("build_log_not_kept", reason=error.message, bytes=len(self._waiting))
                    return
                del self._waiting[: len(batch)]

    async def close(self) -> None:
        """Keep what is left."""
        if self._later:
            self._hurry.set()
            await self._later
        await self.flush()

    async def _flush_later(self) -> None:
        await wait_for_hint(self._hurry, _BATCH_SECONDS)
        self._hurry.clear()
        await self._flush()
        self._later = None
