"""Small real servers that a proxy can be put in front of."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.server import ServerConnection, serve

_HOSTILE_HEADERS = {
    "Service-Worker-Allowed": "/",
    "Clear-Site-Data": '"*"',
    "Strict-Transport-Security": "max-age=1",
    "Alt-Svc": "h2=evil.example",
}


@asynccontextmanager
async def running(server: uvicorn.Server) -> AsyncIterator[uvicorn.Server]:
    """Give a server that is up, and end it."""
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
        yield server
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def application_on_socket(application: Starlette, path: Path) -> AsyncIterator[None]:
    """Serve an application on a Unix socket."""
    config = uvicorn.Config(application, uds=str(path), log_level="warning", timeout_graceful_shutdown=1)
    async with running(uvicorn.Server(config)):
        yield


@asynccontextmanager
async def mirror(name: str) -> AsyncIterator[str]:
    """Serve what answers each request with what came in, and who answers; give its address, `host:port`."""

    async def answer(request: Request) -> Response:
        body = await request.body()
        seen = {
            "name": name,
            "path": request.url.path,
            "query": request.url.query,
            "headers": dict(request.headers),
            "body_bytes": len(body),
        }
        return Response(json.dumps(seen), headers=_HOSTILE_HEADERS, media_type="application/json")

    methods = ["GET", "POST", "PUT", "DELETE"]
    config = uvicorn.Config(
        Starlette(routes=[Route("/{path:path}", answer, methods=methods)]), port=0, log_level="warning"
    )
    async with running(uvicorn.Server(config)) as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Serve a WebSocket that sends back what it gets; give its address, `host:port`."""

    async def answer(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
