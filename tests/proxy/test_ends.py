"""Asking when a session ends: behind the real HAProxy, for whoever holds its token, and without being use of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from binder.lifecycle import SessionState
from binder.paths import Paths
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Session, utc_now
from tests.proxy.front import Proxy, service_in
from tests.proxy.rows import add_build, add_repository, add_session, session_of
from tests.proxy.upstreams import mirror

pytestmark = pytest.mark.slow

_AGE = timedelta(hours=6)
_USED_AGO = timedelta(minutes=25)


@dataclass
class Open:
    """A session that was used 25 minutes ago, and the way to it; the other is another visitor's."""

    front: Proxy
    session: Session
    other: Session
    host: str | None

    async def ask(self, path: str = "binder/ends", session: Session | None = None, **headers: str) -> httpx.Response:
        """Ask below a session's address, with these headers."""
        sent = {"Host": self.host, **headers} if self.host else headers
        return await self.front.client.get(f"/s/{(session or self.session).id}/{path}", headers=sent)

    async def end(self, **headers: str) -> dict[str, Any]:
        """Return what whoever holds the token is told."""
        answer = await self.ask("binder/ends", None, **(headers or {"Cookie": f"binder-session={self.session.token}"}))
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), answer.text
        said: dict[str, Any] = answer.json()
        return said


@pytest.fixture(params=["", "sessions.localhost"], ids=["below the service", "an origin of its own"])
async def opened(request: pytest.FixtureRequest, settings: Settings, paths: Paths, store: Store) -> AsyncIterator[Open]:
    """The whole path; what the session runs says nothing of its use."""
    build = await add_build(store, await add_repository(store))
    used_at = utc_now() - _USED_AGO
    async with AsyncExitStack() as stack:
        values = {"target": await stack.enter_async_context(mirror("m")), "activity_at": used_at, "opened_at": used_at}
        session = await add_session(store, build, SessionState.OPEN, **values)
        other = await add_session(store, build, SessionState.OPEN, **values)
        own = settings.model_copy(update={"sessions_host": request.param})
        front = await stack.enter_async_context(service_in(own, paths, store))
        yield Open(front, session, other, request.param and f"{session.id}.{request.param}")


async def test_a_page_is_told_what_its_services_are_at(opened: Open, store: Store) -> None:
    state = {"restarts": 1, "reason": "It ended with exit code 1."}
    services = {
        "redis-server": {"title": "Redis", "ready": True, "gave_up": False, **state},
        "spark-worker-0": {"title": "Spark (worker-0)", "ready": False, "gave_up": False, **state},
        "spark-worker-1": {"title": "Spark (worker-1)", "ready": False, "gave_up": True, **state},
    }
    links = [{"title": "Spark: Master", "path": "proxy/8080/"}]
    async with store.write() as session:
        row = await session.get_one(Session, opened.session.id)
        row.services = {"services": services, "links": links}
    end = await opened.end()
    assert end["look_again_seconds"] <= 5
    assert end["links"] == links
    assert [(one["title"], one["ready"], one["sentence"]) for one in end["services"]] == [
        ("Redis", True, ""),
        ("Spark (worker-0)", False, "Spark (worker-0) ended and is being started again."),
        (
            "Spark (worker-1)",
            False,
            "Spark (worker-1) ended too often, and cannot be used. It ended with exit code 1.",
        ),
    ]


async def test_whoever_holds_the_token_is_told(opened: Open) -> None:
    token = opened.session.token
    for headers in ({"Cookie": f"binder-session={token}"}, {"Authorization": f"token {token}"}):
        end = await opened.end(**headers)
        now, ends_at = datetime.fromisoformat(end.pop("now")), datetime.fromisoformat(end.pop("ends_at"))
        assert abs(utc_now() - now) < timedelta(seconds=10)
        assert opened.session.activity_at
        assert ends_at == opened.session.activity_at + timedelta(minutes=30)
        assert 280 < end.pop("seconds_left") <= 300
        assert end == {
            "reason": "idle",
            "message": "Sessions that nobody uses are ended after 30 min.",
            "can_be_put_off": True,
            "is_soon": True,
            "look_again_seconds": 60,
        }


async def test_asking_is_no_use_and_all_else_is(opened: Open, store: Store) -> None:
    first, second = await opened.end(), await opened.end()
    assert first["ends_at"] == second["ends_at"]
    assert (await opened.ask("api/status", Cookie=f"binder-session={opened.session.token}")).status_code == 200
    put_off = await opened.end()
    assert 1780 < put_off["seconds_left"] <= 1800
    assert not put_off["is_soon"]
    assert 1180 <= put_off["look_again_seconds"] <= 1200
    # The store learns of it when the proxy is next asked for all sessions.
    assert (await session_of(store, opened.session.id)).activity_at == opened.session.activity_at


async def test_the_longest_time_is_not_put_off(opened: Open, store: Store) -> None:
    async with store.write() as transaction:
        row = await transaction.get_one(Session, opened.session.id)
        row.opened_at, row.activity_at = utc_now() - _AGE + timedelta(minutes=8), utc_now()
    end = await opened.end()
    assert (end["reason"], end["can_be_put_off"], end["is_soon"]) == ("age", False, True)
    assert 470 < end["seconds_left"] <= 480


async def test_nobody_else_is_told(opened: Open) -> None:
    mine, theirs = opened.session.token, opened.other.token
    for answer in (
        await opened.ask(),
        await opened.ask(Cookie=f"binder-session={theirs}"),
        await opened.ask(Authorization=f"token {theirs}"),
        await opened.ask(Cookie=f"binder-session={mine}", Origin="https://evil.example"),
        await opened.ask(session=opened.other, Cookie=f"binder-session={mine}"),
    ):
        assert answer.status_code != 200 or answer.json()["name"] == "m"
        assert "ends_at" not in answer.text


async def test_a_session_that_has_ended_is_said_to_have(opened: Open, store: Store) -> None:
    async with store.write() as transaction:
        (await transaction.get_one(Session, opened.session.id)).state = SessionState.ENDED
    answer = await opened.ask(Cookie=f"binder-session={opened.session.token}")
    assert (answer.status_code, answer.text) == (410, "This session has ended.")


async def test_it_is_looked_up_once_at_a_time(opened: Open, store: Store) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await answered.wait()
        writer.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as slow:
        async with store.write() as transaction:
            host, port = slow.sockets[0].getsockname()
            (await transaction.get_one(Session, opened.session.id)).target = f"{host}:{port}"
        first = asyncio.create_task(opened.end())
        await asked.wait()
        second = await opened.ask(Cookie=f"binder-session={opened.session.token}")
        assert (second.status_code, second.headers["retry-after"]) == (429, "5")
        answered.set()
        assert (await first)["reason"] == "idle"


async def test_a_way_that_the_proxy_does_not_know_yet_is_opened(opened: Open) -> None:
    runtime = opened.front.haproxy.runtime
    await runtime.del_routes([f"{opened.session.id}/{opened.session.token}"])
    cookie = f"binder-session={opened.session.token}"
    assert (await opened.ask(Cookie=cookie)).status_code == 503
    assert (await opened.ask(Cookie=cookie)).status_code == 200
