"""Serves the pages on a Unix socket, behind HAProxy; on the network itself are only a controller's few answers."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from binder.errors import OperatorFault

_GRACE_SECONDS = 2
_BACKLOG = 1024


class _Server(uvicorn.Server):
    """A server that leaves the process's signals to whoever owns the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp, listening: socket.socket) -> AsyncIterator[None]:
    """Serve `app` on a socket while the block runs."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # HAProxy is the only one that reaches the socket of the pages, and says who is behind it.
        proxy_headers=True,
        forwarded_allow_ips="*",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="web")
    try:
        while not server.started:
            if task.done():
                await task
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await task


def unix_socket(path: Path) -> socket.socket:
    """Return a socket for HAProxy in a folder that only it gets into."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    os.chmod(path, 0o666)  # noqa: PTH101,S103 - whoever gets into its folder may talk to it: HAProxy
    listening.listen(_BACKLOG)
    return listening


def network_socket(listen: str) -> socket.socket:
    """Return a socket at an address and port.

    Raises: OperatorFault, where nobody may listen there.
    """
    host, _, port = listen.rpartition(":")
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=_family_of(host), backlog=_BACKLOG)
    except OSError as error:
        raise OperatorFault(
            f"Nobody can listen on {listen}: {error.strerror}. Set BINDER_LISTEN to another address and port."
        ) from error


def _family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
