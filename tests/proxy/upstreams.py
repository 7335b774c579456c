"""Small real servers that a proxy can be put in front of."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
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
async def mirror(name: str, seen: list[dict[str, Any]] | None = None) -> AsyncIterator[str]:
    """Serve what answers each request with what came in, and who answers; give its address, `host:port`.

    `seen` gets all that came in.
    """
    noted = [] if seen is None else seen

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        came = {
            "name": name,
            "method": request.method,
            "path": request.url.path,
            "query": request.url.query,
            "headers": dict(request.headers),
            "body_bytes": len(body),
        }
        noted.append(came)
        response = Response(json.dumps(came), headers=_HOSTILE_HEADERS, media_type="application/json")
        await response(scope, receive, send)

    config = uvicorn.Config(answer, port=0, log_level="warning", lifespan="off")
    async with running(uvicorn.Server(config)) as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def notebook_files(folder: Path, token: str) -> AsyncIterator[str]:
    """Serve a folder as Jupyter's contents API and its `files/` do; give the address, `host:port`."""

    def model(path: Path) -> dict[str, Any]:
        facts = path.stat()
        changed = datetime.fromtimestamp(facts.st_mtime, UTC).isoformat().replace("+00:00", "Z")
        kind, size = ("directory", None) if path.is_dir() else ("file", facts.st_size)
        return {"name": path.name, "type": kind, "size": size, "last_modified": changed, "content": None}

    async def answer(request: Request) -> Response:
        path = folder / request.path_params["path"]
        if request.headers.get("authorization") != f"token {token}":
            return Response(status_code=403)
        if not path.exists():
            return Response(status_code=404)
        if "/files/" in request.url.path:
            return FileResponse(path)
        return JSONResponse({**model(path), "content": [model(inside) for inside in sorted(path.iterdir())]})

    paths = ("/s/{session}/api/contents/{path:path}", "/s/{session}/files/{path:path}")
    application = Starlette(routes=[Route(path, answer) for path in paths])
    async with running(uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning"))) as server:
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Serve a WebSocket that sends back what it gets; give its address, `host:port`."""

    async def answer(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
