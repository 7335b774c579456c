"""Holds back GitHub's answers to chosen requests: the effect is there, and nobody has been told yet."""

import asyncio
import re
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class Held:
    """A request whose answer waits: `reached` once it is there, until `released`."""

    method: str
    path: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Gate:
    """Stands around an application; `asked` lists the requests, `seen` those that changed something, in order."""

    held: list[Held] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def hold(self, method: str, path: str) -> Held:
        """Hold back the answer to the next request with this method whose path this regular expression finds."""
        held = Held(method, path)
        self.held.append(held)
        return held

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return `app` with the gate around it."""

        async def gated(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not scope["path"].startswith("/api/"):
                await app(scope, receive, send)
                return
            request = f"{scope['method']} {scope['path']}"
            self.asked.append(request)
            if scope["method"] != "GET":
                self.seen.append(request)
            held = self._take(scope)
            answered: list[Message] = []

            async def keep(message: Message) -> None:
                answered.append(message)

            await app(scope, receive, keep)
            if held:
                held.reached.set()
                await held.released.wait()
            for message in answered:
                await send(message)

        return gated

    def _take(self, scope: Scope) -> Held | None:
        for held in self.held:
            if held.method == scope["method"] and re.search(held.path, scope["path"]):
                self.held.remove(held)
                return held
        return None
