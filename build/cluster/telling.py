"""How a builder's pod tells of its build: each event one line, at once, with a sign of life where nothing happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import BinaryIO

from build.cluster.lines import HEARTBEAT_SECONDS, Event, Lives, Said, line_of


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


class ToldLog:
    """Where the log of a build is kept: by whoever listens, line by line."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._rest = b""

    async def append(self, data: bytes) -> None:
        """Tell the lines that are whole."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._teller.tell(Said(line.decode(errors="replace")))
