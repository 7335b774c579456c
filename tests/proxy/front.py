"""A real HAProxy as the service configures it, with the service's own pages behind it, or a mirror in their place."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Page

from binder.names import new_session_id, new_token
from binder.paths import Paths
from binder.service.github import GitHubSide
from binder.settings import Settings
from binder.store import Store
from githubapp.setup import SetUp
from proxy.context import ProxyContext
from proxy.haproxy import HAProxy, run_haproxy, service_socket
from proxy.pages import routes
from proxy.routes import Route, RouteKeeper, stored_routes
from tests.proxy.fakes import FakeResolver
from tests.proxy.upstreams import application_on_socket


@dataclass
class Proxy:
    """A running HAProxy, the routes that it starts with, and a client of it."""

    haproxy: HAProxy
    routes: dict[str, str]
    client: httpx.AsyncClient
    listen: tuple[str, int]

    async def open(self, target: str) -> Route:
        """Open a way to `target`."""
        route = Route(new_session_id(), new_token(), target)
        await self.haproxy.runtime.set_routes({route.key: route.target})
        return route

    async def get(self, route: Route, path: str = "", **values: Any) -> dict[str, Any]:
        """Ask for a page of a session with its cookie, and return what its mirror saw."""
        headers = {"Cookie": f"binder-session={route.token}"} | values.pop("headers", {})
        response = await self.client.get(f"/s/{route.session_id}/{path}", headers=headers, **values)
        assert response.status_code == 200, response.text
        seen: dict[str, Any] = response.json()
        return seen

    async def send(self, *lines: str, body: bytes = b"") -> bytes:
        """Send a request as it stands here, and return all that comes back."""
        reader, writer = await asyncio.open_connection(*self.listen)
        try:
            writer.write("\r\n".join((*lines, "", "")).encode("latin-1") + body)
            async with asyncio.timeout(5):
                return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


async def miss(request: Request) -> Response:
    """Answer for the service: no route led anywhere."""
    return Response(json.dumps(dict(request.headers)), 404, {"X-Service": "1"})


def is_miss(response: httpx.Response) -> bool:
    """Whether the service answered, and not a session."""
    return "x-service" in response.headers


@asynccontextmanager
async def proxy_in(settings: Settings, paths: Paths, *, trusted: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """Give a running HAProxy with a mirror in the service's place; its client trusts `trusted`."""
    routes: dict[str, str] = {}

    async def wanted() -> dict[str, str]:
        return routes

    methods = ["GET", "POST", "PUT"]
    service = Starlette(routes=[Page("/{path:path}", miss, methods=methods)])
    host, _, port = settings.listen.rpartition(":")
    async with (
        application_on_socket(service, service_socket(paths)),
        run_haproxy(settings, paths, wanted) as haproxy,
        httpx.AsyncClient(base_url=settings.url, verify=trusted or True) as client,
    ):
        yield Proxy(haproxy, routes, client, (host, int(port)))


@asynccontextmanager
async def service_in(settings: Settings, paths: Paths, store: Store) -> AsyncIterator[Proxy]:
    """Give a running HAProxy with the service's pages behind it; the table is kept where a page asks for it."""
    wanted = partial(stored_routes, store)
    async with run_haproxy(settings, paths, wanted) as haproxy:
        keeper = RouteKeeper(store, haproxy.runtime)
        github = GitHubSide(store, settings)
        set_up = SetUp(settings, paths, github.begin_with)
        context = ProxyContext(store, settings, paths, haproxy.runtime, keeper, FakeResolver(), set_up, github.visitors)
        host, _, port = settings.listen.rpartition(":")
        async with (
            application_on_socket(Starlette(routes=routes(context)), service_socket(paths)),
            httpx.AsyncClient(base_url=f"http://{settings.listen}") as client,
        ):
            yield Proxy(haproxy, {}, client, (host, int(port)))


def settings_of(proxy: Proxy) -> str:
    """Return where a proxy listens."""
    return f"{proxy.listen[0]}:{proxy.listen[1]}"
