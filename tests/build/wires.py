"""A wire to a real server that breaks where a test wants it to."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Break:
    """What goes wrong, once, with the `number`-th request of a method.

    `cut` ends the connection when `after_bytes` of the request (its head included) have gone through, `lost` when the
    answer begins; `503` is an answer that the registry knows nothing of.
    """

    method: str
    kind: Literal["cut", "lost", "503"]
    number: int = 1
    after_bytes: int = 0


@dataclass
class Wire:
    """A wire to a registry: reached at `host`, `breaks` once at each of these, and counts what the registry got."""

    host: str = ""
    breaks: list[Break] = field(default_factory=list)
    arrived_bytes: int = 0

    def next_break(self, head: bytes) -> Break | None:
        """Return what goes wrong with the request that begins with `head`."""
        method = head.partition(b" ")[0].decode(errors="replace")
        for found in [broken for broken in self.breaks if broken.method == method]:
            found.number -= 1
            if not found.number:
                self.breaks.remove(found)
                return found
        return None


@asynccontextmanager
async def broken_wire(host: str, *breaks: Break) -> AsyncIterator[Wire]:
    """Give a wire to the registry at `host` while the block runs."""
    wire = Wire(breaks=list(breaks))
    name, _, port = host.partition(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(name, int(port))
        lose: list[bool] = []
        back = asyncio.create_task(_carry_back(upstream_reader, writer, lambda: bool(lose)))
        try:
            await _carry(wire, reader, upstream_writer, writer, lose)
        except ConnectionError:
            pass
        finally:
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            for end in (upstream_writer, writer):
                end.close()
                with contextlib.suppress(ConnectionError):
                    await end.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    wire.host = "{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield wire
    finally:
        server.close()
        await asyncio.sleep(0.05)


async def _carry(
    wire: Wire,
    reader: asyncio.StreamReader,
    upstream: asyncio.StreamWriter,
    writer: asyncio.StreamWriter,
    lose: list[bool],
) -> None:
    left = None
    while piece := await reader.read(2**16):
        broken = wire.next_break(piece)
        if broken and broken.kind == "503":
            await _refuse(piece, reader, writer)
            return
        if broken and broken.kind == "lost":
            lose.append(True)
        if broken and broken.kind == "cut":
            left = broken.after_bytes
        if left is not None:
            piece, left = piece[:left], left - len(piece[:left])
        upstream.write(piece)
        wire.arrived_bytes += len(piece)
        await upstream.drain()
        if left == 0:
            return


async def _carry_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lose: Callable[[], bool]) -> None:
    while piece := await reader.read(2**16):
        if lose():
            break
        writer.write(piece)
        await writer.drain()
    writer.close()


async def _refuse(piece: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head, _, body = piece.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    left = (int(length[1]) if length else 0) - len(body)
    if left > 0:
        await reader.readexactly(left)
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
