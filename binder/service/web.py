"""Serves the pages on a Unix socket, behind HAProxy: nothing of ours listens on the network but HAProxy."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

_GRACE_SECONDS = 2
_BACKLOG = 1024


class _Server(uvicorn.Server):
    """A server that leaves the process's signals to whoever owns the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp, path: Path) -> AsyncIterator[None]:
    """Serve `app` on the Unix socket `path` while the block runs."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # HAProxy is the only one that reaches this socket, and says who is behind it.
        proxy_headers=True,
        forwarded_allow_ips="*",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[_listen(path)]), name="web")
    try:
        while not server.started:
            if task.done():
                await task
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await task


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    os.chmod(path, 0o666)  # noqa: PTH101,S103 - whoever gets into its folder may talk to it: HAProxy
    listening.listen(_BACKLOG)
    return listening
