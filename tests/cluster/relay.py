"""A way to an API server whose connections can be cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Relay:
    """A relay that is reached at `address`."""

    address: str
    connections: list[asyncio.StreamWriter] = field(default_factory=list)

    def cut(self) -> int:
        """Cut all connections, and return how many there were so far."""
        for connection in self.connections:
            connection.close()
        return len(self.connections)


@asynccontextmanager
async def relay_to(url: str) -> AsyncIterator[Relay]:
    """Give a relay to the server of `url`."""
    place = urlsplit(url)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay.connections.append(writer)
        back, forth = await asyncio.open_connection(place.hostname, place.port)
        pipes.create_task(_pipe(reader, forth))
        pipes.create_task(_pipe(back, writer))

    async with asyncio.TaskGroup() as pipes, await asyncio.start_server(carry, "127.0.0.1", 0) as server:
        relay = Relay(f"{place.scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        yield relay
        relay.cut()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()
