"""The events that a waiting page follows, over a real connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from binder.lifecycle import BuildState, SessionState
from binder.store.tables import Build, Repository, utc_now
from proxy import event_streams
from proxy.context import ProxyContext
from proxy.visible import number_of
from tests.proxy.rows import IMAGE, SHA, add_build, add_log, add_repository, add_session
from tests.proxy.streaming import Event, advance, parsed_events

LAYERS = [{"kind": kind, "key": "k", "reused": kind == "base"} for kind in ("base", "content")]


@asynccontextmanager
async def events_of(
    client: httpx.AsyncClient, build: Build, *, last_event_id: str | None = None, start: int | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    """Give a build's events: name, data and id."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    query = {"build": build.id} | ({} if start is None else {"from": start})
    async with client.stream("GET", "/launch/events", params=query, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield parsed_events(answer.aiter_lines())


async def add_measured(context: ProxyContext) -> tuple[Repository, Build]:
    """Store a build that waits, in a repository where another took 50 s, and more that tell nothing of it."""
    repository, now = await add_repository(context.store), utc_now()
    began = now - timedelta(seconds=50)
    result = {"image": IMAGE, "layers": LAYERS, "seconds": {"fetch": 10, "content": 30}}
    await add_build(context.store, repository, sha="1" * 40, result=result, started_at=began, finished_at=now)
    await add_build(context.store, repository, sha="2" * 40)
    values: dict[str, Any] = {"sha": "3" * 40, "started_at": now, "finished_at": now}
    await add_build(context.store, repository, result=result, untrusted=True, **values)
    await add_build(context.store, repository, BuildState.FAILED, result=result, **values)
    other = await add_repository(context.store, name="other")
    await add_build(context.store, other, result=result, **values)
    return repository, await add_build(context.store, repository, BuildState.QUEUED)


async def test_a_page_learns_of_steps_log_and_end(streamer: httpx.AsyncClient, context: ProxyContext) -> None:
    build = await add_build(context.store, await add_repository(context.store), BuildState.QUEUED)
    async with asyncio.timeout(20), events_of(streamer, build) as events:
        name, data, _ = await anext(events)
        assert name == "progress"
        assert data["steps"][0] == {"label": "Waiting for its turn", "status": "now"}
        await add_log(context.store, build, "first\nsec")
        assert await anext(events) == ("log", {"lines": ["first"]}, 6)
        await add_log(context.store, build, "ond\n")
        assert await anext(events) == ("log", {"lines": ["second"]}, 13)
        await advance(context, build, BuildState.FETCHING)
        name, data, _ = await anext(events)
        assert [step["status"] for step in data["steps"]][:2] == ["done", "now"]
        await add_session(context.store, build, SessionState.STANDBY)
        await advance(context, build, BuildState.BUILDING, BuildState.PUSHING, BuildState.CHECKING)
        await advance(context, build, BuildState.SUCCEEDED)
        rest = [event async for event in events]
        assert rest[-1] == ("end", {"next": "ready"}, 13)


async def test_it_is_told_how_much_is_done_and_what_is_reused(
    streamer: httpx.AsyncClient, context: ProxyContext
) -> None:
    repository, build = await add_measured(context)
    page = await streamer.get(f"/v2/gh/{repository.full_name}/{SHA}")
    assert '<progress id="share" class="share" max="100" value="0"' in page.text
    assert '<p id="facts" class="clock known">Last time 50 s</p>' in page.text
    async with asyncio.timeout(20), events_of(streamer, build) as events:
        _, data, _ = await anext(events)
        assert (data["percent"], data["facts"]) == (0, "Last time 50 s")
        await advance(context, build, BuildState.FETCHING, BuildState.BUILDING)
        async with context.store.write() as session:
            (await session.get_one(Build, build.id)).result = {"layers": LAYERS}
        told = [data async for name, data, _ in _until_layers(events)]
    assert told[-1]["facts"] == "Last time 50 s; 1 of 2 layers re-used"
    assert 20 <= told[-1]["percent"] <= 80


async def _until_layers(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    async for event in events:
        yield event
        if "re-used" in event[1].get("facts", ""):
            return


async def test_one_that_was_cut_off_goes_on_where_it_was(streamer: httpx.AsyncClient, context: ProxyContext) -> None:
    build = await add_build(context.store, await add_repository(context.store), BuildState.BUILDING)
    await add_log(context.store, build, "one\ntwo\nthree\n")
    async with asyncio.timeout(10), events_of(streamer, build, last_event_id="4", start=0) as events:
        assert await anext(events) == ("log", {"lines": ["two", "three"]}, 14)


async def test_a_failed_build_ends_with_the_whole_log(streamer: httpx.AsyncClient, context: ProxyContext) -> None:
    fault = {"party": "repository", "message": "no"}
    build = await add_build(context.store, await add_repository(context.store), BuildState.FAILED, fault=fault)
    await add_log(context.store, build, "".join(f"line {number}\n" for number in range(5000)))
    async with asyncio.timeout(10), events_of(streamer, build, start=0) as events:
        told = [event async for event in events]
    lines = [line for name, data, _ in told if name == "log" for line in data["lines"]]
    assert lines == [f"line {number}" for number in range(5000)]
    assert told[-1][:2] == ("end", {"next": "failed"})


async def test_a_first_look_at_a_long_log_shows_its_end(streamer: httpx.AsyncClient, context: ProxyContext) -> None:
    build = await add_build(context.store, await add_repository(context.store), BuildState.FAILED)
    await add_log(context.store, build, "".join(f"{number:9}\n" for number in range(100_000)))
    async with asyncio.timeout(10), events_of(streamer, build) as events:
        told = [event async for event in events]
    lines = [line for name, data, _ in told if name == "log" for line in data["lines"]]
    assert lines[-1] == "    99999"
    assert 1000 < len(lines) < 7000


async def test_streams_are_bounded_in_number_and_given_back(
    streamer: httpx.AsyncClient, context: ProxyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "_MOST_STREAMS", 1)
    build = await add_build(context.store, await add_repository(context.store), BuildState.BUILDING)
    async with events_of(streamer, build) as events:
        await anext(events)
        assert (await streamer.get("/launch/events", params={"build": build.id})).status_code == 503
    async with asyncio.timeout(10):
        while True:
            async with streamer.stream("GET", "/launch/events", params={"build": build.id}) as answer:
                if answer.status_code == 200:
                    break
            await asyncio.sleep(0.05)


async def test_a_repository_that_is_made_private_is_shown_no_longer(
    streamer: httpx.AsyncClient, context: ProxyContext
) -> None:
    repository = await add_repository(context.store)
    build = await add_build(context.store, repository, BuildState.BUILDING)
    async with asyncio.timeout(10), events_of(streamer, build) as events:
        await anext(events)
        async with context.store.write() as session:
            (await session.get_one(Repository, repository.id)).private = True
        await add_log(context.store, build, "secret\n")
        assert [event async for event in events] == []


async def test_a_stream_is_bounded_in_time(
    streamer: httpx.AsyncClient, context: ProxyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "_LONGEST_STREAM_SECONDS", 0.5)
    build = await add_build(context.store, await add_repository(context.store), BuildState.BUILDING)
    async with asyncio.timeout(10), events_of(streamer, build) as events:
        assert [name async for name, _, _ in events] == ["progress"]


async def test_a_session_for_those_who_came_before_is_not_this_visitors(
    streamer: httpx.AsyncClient, context: ProxyContext
) -> None:
    build = await add_build(context.store, await add_repository(context.store))
    await add_session(context.store, build)
    for ticket in ("first", "second"):
        context.queue.wait(ticket, IMAGE, utc_now(), is_served=True)
    for ticket, following in (("first", "ready"), ("second", "again")):
        headers = {"Cookie": f"binder-turn={ticket}"}
        answer = await streamer.get("/launch/events", params={"build": build.id}, headers=headers)
        assert f'"next": "{following}"' in answer.text


async def test_a_quiet_stream_is_kept_alive(
    streamer: httpx.AsyncClient, context: ProxyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "_ALIVE_SECONDS", 0.2)
    build = await add_build(context.store, await add_repository(context.store), BuildState.BUILDING)
    async with asyncio.timeout(10), streamer.stream("GET", "/launch/events", params={"build": build.id}) as answer:
        async for line in answer.aiter_lines():
            if line == ": still here":
                break


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        (None, None),
        ("", None),
        ("-1", None),
        ("1e3", None),
        ("٣", None),
        ("4294967296", None),
        ("9" * 99, None),
    ],
)
def test_numbers_are_read_with_care(text: str | None, number: int | None) -> None:
    assert number_of(text) == number
