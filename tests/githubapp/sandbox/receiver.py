"""A real receiver of webhooks on a real port, which answers as it is told to."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


@dataclass(frozen=True)
class Received:
    """One request, as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> str:
        return self.headers["x-github-event"]

    @property
    def guid(self) -> str:
        return self.headers["x-github-delivery"]

    @property
    def payload(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass
class Receiver:
    """Keeps what it received; `status` is its answer, given after `delay_seconds`."""

    url: str
    status: int = 202
    delay_seconds: float = 0.0
    received: list[Received] = field(default_factory=list)

    async def hook(self, request: Request) -> Response:
        self.received.append(Received(dict(request.headers), await request.body()))
        await asyncio.sleep(self.delay_seconds)
        return PlainTextResponse("noted", self.status)

    @property
    def names(self) -> list[str]:
        """What came, as `event` or `event.action`."""
        return [
            f"{one.event}.{one.payload['action']}" if "action" in one.payload else one.event for one in self.received
        ]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The payloads of one event, in the order in which they came."""
        return [one.payload for one in self.received if one.event == event]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def running_receiver() -> AsyncIterator[Receiver]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = Receiver(f"http://127.0.0.1:{listener.getsockname()[1]}/hook")
        app = Starlette(routes=[Route("/hook", receiver.hook, methods=["POST"])])
        server = _Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield receiver
        finally:
            server.should_exit = True
            await task
