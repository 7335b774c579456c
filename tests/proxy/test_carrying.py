"""What sessions carry for long: several proxies of one store, restarts, streams, large bodies, clients that dawdle."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as Page

from binder.lifecycle import SessionState
from binder.paths import Paths
from binder.settings import Settings
from binder.store import Store
from binder.store.queries import advance_session
from binder.store.tables import Session, utc_now
from proxy.haproxy import run_haproxy
from proxy.routes import RouteKeeper, routes_wanted, stored_routes
from tests.proxy.conftest import free_port, made_folder, made_paths
from tests.proxy.front import Proxy, proxy_in
from tests.proxy.rows import add_build, add_repository, add_session, columns_of
from tests.proxy.upstreams import running

pytestmark = pytest.mark.slow

_MB = 2**20
_LARGE = 200 * _MB
_PIECE = b"x" * 2**16


@pytest.fixture
async def proxy(settings: Settings, paths: Paths) -> AsyncIterator[Proxy]:
    """A running HAProxy with a mirror in the service's place."""
    async with proxy_in(settings, paths) as running_proxy:
        yield running_proxy


@pytest.fixture
async def target() -> AsyncIterator[str]:
    """The address of a session that streams."""
    application = Starlette(
        routes=[
            Page("/s/{id}/large", _large),
            Page("/s/{id}/taken", _taken, methods=["PUT"]),
            Page("/s/{id}/events", _events),
            Page("/s/{id}/slow", _slow),
        ]
    )
    async with running(uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning"))) as server:
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


class TestSeveralProxies:
    async def test_each_comes_to_hold_what_the_store_says(self, settings: Settings, paths: Paths, store: Store) -> None:
        build = await add_build(store, await add_repository(store))
        one = await add_session(store, build, SessionState.OPEN)
        with made_folder() as folder:
            second = {
                "state_dir": folder / "state",
                "cache_dir": folder / "cache",
                "listen": f"127.0.0.1:{free_port()}",
            }
            other = settings.model_copy(update=second)

            async def wanted() -> dict[str, str]:
                return await stored_routes(store)

            async with (
                run_haproxy(settings, paths, wanted) as first_proxy,
                run_haproxy(other, made_paths(other), wanted) as second_proxy,
            ):
                tables = [first_proxy.runtime, second_proxy.runtime]
                keepers = [RouteKeeper(store, table) for table in tables]
                assert [await table.show_routes() for table in tables] == [routes_wanted(columns_of(one))] * 2
                two = await add_session(store, build, SessionState.OPEN)
                async with store.write() as session:
                    advance_session(await session.get_one(Session, one.id), SessionState.ENDED, utc_now())
                assert [await keeper.step() for keeper in keepers] == [True, True]
                assert [await table.show_routes() for table in tables] == [routes_wanted(columns_of(two))] * 2
                assert [await keeper.step() for keeper in keepers] == [False, False]

    async def test_one_that_was_killed_is_back_with_its_table(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        proxy.routes[route.key] = route.target
        assert proxy.haproxy.pid
        os.kill(proxy.haproxy.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while not await _knows(proxy, route.key):  # noqa: ASYNC110 - nobody tells us that it is back
                await asyncio.sleep(0.05)


class TestStreams:
    async def test_events_come_as_they_are_sent(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        async with asyncio.timeout(10), _stream(proxy, f"/s/{route.session_id}/events?token={route.token}") as lines:
            assert await anext(lines) == "data: now"
            # The session says no more until it is left: what was sent has come without it.

    async def test_a_large_download_takes_no_memory(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        before, size = _resident(proxy), 0
        async with proxy.client.stream("GET", f"/s/{route.session_id}/large?token={route.token}") as answer:
            async for piece in answer.aiter_bytes():
                size += len(piece)
        assert size == _LARGE
        assert _resident(proxy) - before < 20 * _MB

    async def test_a_large_upload_takes_no_memory(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        before = _resident(proxy)
        address = f"/s/{route.session_id}/taken?token={route.token}"
        assert (await proxy.client.put(address, content=_pieces(), timeout=60)).text == str(_LARGE)
        assert _resident(proxy) - before < 20 * _MB


class TestSlowClients:
    async def test_a_request_that_never_ends_is_cut(self, proxy: Proxy) -> None:
        reader, writer = await asyncio.open_connection(*proxy.listen)
        writer.write(b"GET / HTTP/1.1\r\n")
        dawdling = asyncio.create_task(_dawdle(writer))
        try:
            async with asyncio.timeout(30):
                answer = await reader.read()
        finally:
            dawdling.cancel()
            writer.close()
        assert answer.startswith(b"HTTP/1.1 408 ")


class TestTheEnd:
    async def test_what_is_open_is_finished(self, settings: Settings, paths: Paths, target: str) -> None:
        async with httpx.AsyncClient() as client, contextlib.AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(proxy_in(settings, paths))
            route = await proxy.open(target)
            address = f"{settings.url}/s/{route.session_id}/slow?token={route.token}"
            async with client.stream("GET", address) as answer:
                lines = answer.aiter_lines()
                assert await anext(lines) == "first"
                leaving = asyncio.create_task(stack.aclose())
                assert [line async for line in lines] == ["last"]
                await leaving
            with pytest.raises(httpx.ConnectError):
                await client.get(settings.url)

    async def test_what_has_no_end_is_cut(self, settings: Settings, paths: Paths, target: str) -> None:
        async with httpx.AsyncClient() as client, contextlib.AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(proxy_in(settings, paths))
            route = await proxy.open(target)
            address = f"{settings.url}/s/{route.session_id}/events?token={route.token}"
            async with client.stream("GET", address) as answer:
                lines = answer.aiter_lines()
                assert await anext(lines) == "data: now"
                async with asyncio.timeout(30):
                    await stack.aclose()
                with pytest.raises(httpx.RemoteProtocolError):
                    assert [line async for line in lines] == []


class TestAddresses:
    async def test_a_session_may_be_at_an_address_of_ipv6(self, proxy: Proxy) -> None:
        application = Starlette(routes=[Page("/{path:path}", _name)])
        config = uvicorn.Config(application, host="::1", port=0, log_level="warning")
        async with running(uvicorn.Server(config)) as server:
            port = server.servers[0].sockets[0].getsockname()[1]
            route = await proxy.open(f"[::1]:{port}")
            answer = await proxy.client.get(f"/s/{route.session_id}/?token={route.token}")
        assert answer.text == "six"


async def _large(_: Request) -> Response:
    return StreamingResponse(_pieces())


async def _pieces() -> AsyncIterator[bytes]:
    for _ in range(_LARGE // len(_PIECE)):
        yield _PIECE


async def _taken(request: Request) -> Response:
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return Response(str(size))


async def _events(_: Request) -> Response:
    async def said() -> AsyncIterator[str]:
        yield "data: now\n\n"
        await asyncio.sleep(60)

    return StreamingResponse(said(), media_type="text/event-stream")


async def _slow(_: Request) -> Response:
    async def said() -> AsyncIterator[str]:
        yield "first\n"
        await asyncio.sleep(1.5)
        yield "last\n"

    return StreamingResponse(said())


async def _name(_: Request) -> Response:
    return Response("six")


async def _dawdle(writer: asyncio.StreamWriter) -> None:
    while True:
        await asyncio.sleep(1)
        writer.write(b"X: y\r\n")


@contextlib.asynccontextmanager
async def _stream(proxy: Proxy, address: str) -> AsyncIterator[AsyncIterator[str]]:
    async with proxy.client.stream("GET", address) as answer:
        yield answer.aiter_lines()


async def _knows(proxy: Proxy, key: str) -> bool:
    with contextlib.suppress(Exception):
        return key in await proxy.haproxy.runtime.show_routes()
    return False


def _resident(proxy: Proxy) -> int:
    status = Path(f"/proc/{proxy.haproxy.pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024
