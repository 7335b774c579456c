"""The build API over a real connection: as its clients use it, and as they misuse it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import func, select
from starlette.applications import Starlette

from binder.lifecycle import BuildState, SessionState
from binder.store.tables import Build, Repository, Session, utc_now
from proxy import build_api, event_streams
from proxy.context import ProxyContext
from proxy.pages import routes
from tests.proxy.binder_client import launched_by_client
from tests.proxy.fakes import FakeResolver, FakeRouteTable
from tests.proxy.rows import IMAGE, SHA, add_build, add_log, add_repository, add_session, session_of
from tests.proxy.streaming import advance
from tests.proxy.upstreams import running

SPEC = f"/build/gh/ada/notebooks/{SHA}"
STREAM = {"Accept": "text/event-stream"}


@asynccontextmanager
async def launch_of(client: httpx.AsyncClient, path: str = SPEC) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Give the events of a launch."""
    async with asyncio.timeout(20), client.stream("GET", path, headers=STREAM) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["access-control-allow-origin"] == "*"
        yield _events(answer.aiter_lines())


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    async for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def only_event(client: httpx.AsyncClient, path: str, **values: Any) -> dict[str, Any]:
    """Return the one event of an answer that ends at once."""
    answer = await client.get(path, **values)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    (line,) = answer.text.split("\n\n")[:-1]
    event: dict[str, Any] = json.loads(line.removeprefix("data: "))
    return event


async def test_a_launch_from_the_queue_to_the_session(
    streamer: httpx.AsyncClient, context: ProxyContext, table: FakeRouteTable
) -> None:
    await add_repository(context.store)
    async with launch_of(streamer) as events:
        assert (await anext(events))["phase"] == "waiting"
        async with context.store.read() as session:
            build = (await session.scalars(select(Build))).one()
        await advance(context, build, BuildState.FETCHING)
        assert (await anext(events))["phase"] == "fetching"
        await add_log(context.store, build, "Resolved 14 packages\n")
        assert await anext(events) == {"phase": "building", "message": "Resolved 14 packages\n"}
        await advance(context, build, BuildState.BUILDING)
        assert (await anext(events))["phase"] == "building"
        await advance(context, build, BuildState.PUSHING)
        assert await anext(events) == {"phase": "pushing", "message": "Storing the image...\n", "progress": {}}
        standby = await add_session(context.store, build)
        await advance(context, build, BuildState.CHECKING, BuildState.SUCCEEDED)
        rest = [await anext(events), await anext(events), await anext(events)]
        assert [event["phase"] for event in rest] == ["built", "launching", "ready"]
        assert rest[0]["imageName"] == IMAGE
        assert rest[-1]["url"] == f"{context.settings.url}/s/{standby.id}/"
        assert rest[-1]["token"] == standby.token
    assert (await session_of(context.store, standby.id)).state is SessionState.OPEN
    assert table.routes == {f"{standby.id}/{standby.token}": standby.target}


@asynccontextmanager
async def listening(context: ProxyContext) -> AsyncIterator[str]:
    """Give the address of the pages behind a port."""
    config = uvicorn.Config(Starlette(routes=routes(context)), port=0, log_level="warning", timeout_graceful_shutdown=1)
    async with running(uvicorn.Server(config)) as server:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


async def test_the_published_client_reaches_a_session(context: ProxyContext) -> None:
    build = await add_build(context.store, await add_repository(context.store))
    standby = await add_session(context.store, build)
    async with listening(context) as url:
        told = await launched_by_client(url, f"gh/ada/notebooks/{SHA}")
    assert [event["phase"] for event in told] == ["built", "launching", "ready"]
    assert told[-1]["token"] == standby.token
    assert all(event["message"].endswith("\n") for event in told)


async def test_the_published_client_learns_why_there_is_none(context: ProxyContext) -> None:
    async with listening(context) as url:
        told = await launched_by_client(url, "gh/ada/nowhere/main")
    assert {event["phase"] for event in told} == {"failed"}
    assert "no repository ada/nowhere on GitHub that you may see" in told[0]["message"]


async def test_a_stream_stays_open_after_the_session_and_claims_no_other(
    streamer: httpx.AsyncClient, context: ProxyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_api, "_LINGER_SECONDS", 2.0)
    monkeypatch.setattr(event_streams, "_ALIVE_SECONDS", 0.2)
    build = await add_build(context.store, await add_repository(context.store))
    for _ in range(2):
        await add_session(context.store, build)
    async with asyncio.timeout(20), streamer.stream("GET", SPEC, headers=STREAM) as answer:
        lines = [line async for line in answer.aiter_lines() if line]
    at = next(number for number, line in enumerate(lines) if '"ready"' in line)
    assert set(lines[at + 1 :]) == {": still here"}
    async with context.store.read() as session:
        is_open = Session.state == SessionState.OPEN
        assert await session.scalar(select(func.count()).select_from(Session).where(is_open)) == 1


async def test_a_failed_build_tells_its_log_and_why(streamer: httpx.AsyncClient, context: ProxyContext) -> None:
    fault = {"party": "repository", "message": "No such package.", "file": "requirements.txt", "line": 3}
    repository = await add_repository(context.store)
    build = await add_build(context.store, repository, BuildState.FAILED, fault=fault, finished_at=utc_now())
    await add_log(context.store, build, "ERROR: nothing\n")
    async with launch_of(streamer) as events:
        assert await anext(events) == {"phase": "building", "message": "ERROR: nothing\n"}
        last = await anext(events)
    assert last["phase"] == "failed"
    assert "requirements.txt line 3" in last["message"]


async def test_a_server_that_does_not_start_is_the_operators_fault(
    streamer: httpx.AsyncClient, context: ProxyContext
) -> None:
    build = await add_build(context.store, await add_repository(context.store))
    await add_session(context.store, build, SessionState.FAILED, reason="No kernel answered.", ended_at=utc_now())
    async with launch_of(streamer) as events:
        last = await anext(events)
    assert (last["phase"], last["status_code"]) == ("failed", 500)
    assert "No kernel answered." in last["message"]


async def test_where_all_places_are_taken_it_waits_for_one(streamer: httpx.AsyncClient, context: ProxyContext) -> None:
    build = await add_build(context.store, await add_repository(context.store))
    for _ in range(context.settings.sessions_at_most):
        await add_session(context.store, build, SessionState.OPEN)
    async with launch_of(streamer) as events:
        first = await anext(events)
        assert (first["phase"], "number 1 of 1" in first["message"]) == ("waiting", True)
        await add_session(context.store, build)
        assert [(await anext(events))["phase"] for _ in range(3)] == ["built", "launching", "ready"]


async def test_who_waits_is_told_each_new_place_in_the_queue(
    streamer: httpx.AsyncClient, context: ProxyContext
) -> None:
    build = await add_build(context.store, await add_repository(context.store))
    for _ in range(context.settings.sessions_at_most):
        await add_session(context.store, build, SessionState.OPEN)
    context.queue.wait("ada", IMAGE, utc_now(), is_served=False)
    async with launch_of(streamer) as events:
        assert "number 2 of 2" in (await anext(events))["message"]
        context.queue.leave("ada", IMAGE)
        after = await anext(events)
        assert (after["phase"], "number 1 of 1" in after["message"]) == ("waiting", True)


async def test_a_repository_that_is_made_private_is_told_of_no_longer(
    streamer: httpx.AsyncClient, context: ProxyContext
) -> None:
    repository = await add_repository(context.store)
    build = await add_build(context.store, repository, BuildState.BUILDING)
    async with launch_of(streamer) as events:
        await anext(events)
        async with context.store.write() as session:
            (await session.get_one(Repository, repository.id)).private = True
        await add_log(context.store, build, "secret\n")
        last = await anext(events)
    assert (last["phase"], last["status_code"]) == ("failed", 404)


async def test_it_ends_some_time(
    streamer: httpx.AsyncClient, context: ProxyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_api, "_LONGEST_SECONDS", 0.0)
    await add_repository(context.store)
    async with launch_of(streamer) as events:
        last = await anext(events)
    assert (last["phase"], last["status_code"]) == ("failed", 503)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/build/nope/x", "no provider"),
        ("/build/gh/ada", "names no repository"),
        ("/build/gh/-ada/x/main", "can be called"),
        (f"{SPEC}?build_only=true", "build_only"),
    ],
)
async def test_what_is_wrong_is_told_as_an_event(visitor: httpx.AsyncClient, path: str, says: str) -> None:
    event = await only_event(visitor, path, headers=STREAM)
    assert event["phase"] == "failed"
    assert event["status_code"] in {400, 404}
    assert says in event["message"]


@pytest.mark.parametrize("headers", [{"Accept": "text/html"}, {"Accept": "*/*"}], ids=["page", "anything"])
async def test_who_does_not_ask_for_events_starts_nothing(
    visitor: httpx.AsyncClient, context: ProxyContext, headers: dict[str, str]
) -> None:
    await add_repository(context.store)
    event = await only_event(visitor, SPEC, headers=headers)
    assert (event["phase"], event["status_code"]) == ("failed", 400)
    async with context.store.read() as session:
        assert (await session.scalars(select(Build))).all() == []


async def test_pages_of_other_sites_may_ask(visitor: httpx.AsyncClient) -> None:
    asked = {"Origin": "https://docs.example", "Access-Control-Request-Headers": "cache-control"}
    answer = await visitor.options(SPEC, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "cache-control" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


async def test_streams_are_bounded_in_number(
    streamer: httpx.AsyncClient, context: ProxyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "_MOST_STREAMS", 1)
    await add_build(context.store, await add_repository(context.store), BuildState.BUILDING)
    async with launch_of(streamer) as events:
        await anext(events)
        event = await only_event(streamer, SPEC, headers=STREAM)
    assert (event["phase"], event["status_code"]) == ("failed", 503)


async def test_a_branch_is_asked_for_and_answered_with_its_commit(
    streamer: httpx.AsyncClient, context: ProxyContext, resolver: FakeResolver
) -> None:
    repository = await add_repository(context.store)
    resolver.refs[repository.clone_url, "main"] = SHA
    await add_session(context.store, await add_build(context.store, repository))
    async with launch_of(streamer, "/build/gh/ada/notebooks/main") as events:
        last = [await anext(events) for _ in range(3)][-1]
    assert last["binder_request"] == "v2/gh/ada/notebooks/main"
    assert last["binder_persistent_request"] == f"v2/gh/ada/notebooks/{SHA}"
