"""How a builder's pod tells of its build: each event one line, at once, with a sign of life where nothing happens."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import BinaryIO

from build.cluster.lines import HEARTBEAT_SECONDS, Event, Lives, Said, line_of
from build.log import BuildLog


class Teller:
    """Writes the lines of one build."""

    def __init__(self, output: BinaryIO, mark: str) -> None:
        self._output = output
        self._mark = mark
        self._number = 0

    def tell(self, event: Event) -> None:
        """Tell an event."""
        self._number += 1
        self._output.write(f"{line_of(self._mark, self._number, event)}\n".encode("ascii"))
        self._output.flush()

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """Tell now and then that it is there, while the block runs."""
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def _beat(self) -> None:
        while True:
            self.tell(Lives())
            await asyncio.sleep(HEARTBEAT_SECONDS)


class ToldLog(BuildLog):
    """The log of a build whose lines are told, and kept by whoever listens."""

    def __init__(self, teller: Teller, *, secrets: Iterable[str], most_bytes: int) -> None:
        super().__init__(self, secrets=secrets, most_bytes=most_bytes)
        self._teller = teller

    def _add(self, data: bytes) -> None:
        self._teller.tell(Said(data.decode().removesuffix("\n")))

    async def append(self, data: bytes) -> None:
        """Keep nothing here."""
