"""Logs of builds as events and as text, over a real connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from binder.lifecycle import BuildState
from binder.store.tables import Build
from proxy import event_streams
from proxy.context import ProxyContext
from tests.proxy.rows import add_build, add_log, add_repository
from tests.proxy.streaming import Event, advance, parsed_events

_EVENTS = {"accept": "text/event-stream"}


@asynccontextmanager
async def events_of(
    client: httpx.AsyncClient, build: Build, *, last_event_id: str | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    """Give the events of a build's log."""
    headers = _EVENTS | ({"Last-Event-ID": last_event_id} if last_event_id else {})
    async with client.stream("GET", f"/builds/{build.id}/log", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "Accept" in answer.headers["vary"]
        yield parsed_events(answer.aiter_lines())


async def test_a_log_is_followed_to_its_end(streamer: httpx.AsyncClient, context: ProxyContext) -> None:
    build = await add_build(context.store, await add_repository(context.store), BuildState.QUEUED)
    async with asyncio.timeout(20), events_of(streamer, build) as events:
        assert await anext(events) == ("state", {"state": "queued", "label": "Waiting for its turn"}, 0)
        await add_log(context.store, build, "first\nsec")
        assert await anext(events) == ("log", {"lines": ["first"]}, 6)
        await add_log(context.store, build, "ond\n")
        assert await anext(events) == ("log", {"lines": ["second"]}, 13)
        await advance(context, build, BuildState.FETCHING, BuildState.FAILED)
        rest = [event async for event in events]
    assert rest[-1] == ("end", {"state": "failed"}, 13)


async def test_who_was_cut_off_goes_on_where_he_was(streamer: httpx.AsyncClient, context: ProxyContext) -> None:
    build = await add_build(context.store, await add_repository(context.store), BuildState.FAILED)
    await add_log(context.store, build, "one\ntwo\nthree\n")
    async with asyncio.timeout(10), events_of(streamer, build, last_event_id="4") as events:
        assert [event async for event in events] == [
            ("log", {"lines": ["two", "three"]}, 14),
            ("state", {"state": "failed", "label": "Failed"}, 14),
            ("end", {"state": "failed"}, 14),
        ]


async def test_followers_are_bounded_in_number(
    streamer: httpx.AsyncClient, context: ProxyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "_MOST_STREAMS", 1)
    build = await add_build(context.store, await add_repository(context.store), BuildState.BUILDING)
    async with events_of(streamer, build) as events:
        await anext(events)
        assert (await streamer.get(f"/builds/{build.id}/log", headers=_EVENTS)).status_code == 503
        assert (await streamer.get(f"/builds/{build.id}/log")).status_code == 200


async def test_the_whole_log_is_plain_text(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    build = await add_build(context.store, await add_repository(context.store))
    lines = [f"\x1b[1mline\x1b[0m {number} <é>" for number in range(100_000)]
    await add_log(context.store, build, "\n".join(lines) + "\nhalf")
    answer = await visitor.get(f"/builds/{build.id}/log")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "".join(f"line {number} <é>\n" for number in range(100_000))
    assert answer.headers["next-offset"] == str(len("\n".join(lines).encode()) + 1)
    rest = await visitor.get(f"/builds/{build.id}/log", params={"from": answer.headers["next-offset"]})
    assert (rest.text, rest.headers["next-offset"]) == ("", answer.headers["next-offset"])


@pytest.mark.parametrize("most_bytes", [1, 100, 5000])
async def test_parts_make_up_the_whole(visitor: httpx.AsyncClient, context: ProxyContext, most_bytes: int) -> None:
    build = await add_build(context.store, await add_repository(context.store))
    text = "".join(f"{'x' * number}\n" for number in range(150))
    await add_log(context.store, build, text)
    address: str | None = f"/builds/{build.id}/log?bytes={most_bytes}"
    got: list[httpx.Response] = []
    while address:
        got.append(await visitor.get(address))
        address = got[-1].links.get("next", {}).get("url")
    assert "".join(part.text for part in got) == text
    assert all(len(part.text) <= most_bytes or part.text.count("\n") == 1 for part in got)
    assert got[-1].headers["next-offset"] == str(len(text))


async def test_a_build_that_wrote_nothing_has_an_empty_log(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    build = await add_build(context.store, await add_repository(context.store))
    for query in ("", "?bytes=10", "?from=77", "?from=x&bytes=x"):
        answer = await visitor.get(f"/builds/{build.id}/log{query}")
        assert (answer.status_code, answer.text) == (200, "")
