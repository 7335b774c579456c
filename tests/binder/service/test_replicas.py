"""Several proxy processes on one PostgreSQL: what one of them opens, the others let in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from binder.lifecycle import SessionState
from binder.store import Store, open_store
from tests.binder.service.processes import PartProcess, running_part
from tests.postgresql import PostgreSQL
from tests.proxy.rows import SHA, add_build, add_repository, add_session, session_of
from tests.proxy.upstreams import mirror

LINK = f"/v2/gh/ada/notebooks/{SHA}?urlpath=lab"


Replicas = tuple[Store, PartProcess, PartProcess]


@pytest.fixture
async def replicas(reachable_path: Path, postgresql: PostgreSQL) -> AsyncIterator[Replicas]:
    """A store, and two proxies on it."""
    url = postgresql.new_database()
    settings = {"BINDER_DATABASE_URL": url}
    async with open_store(url) as store, AsyncExitStack() as stack:
        one = await stack.enter_async_context(running_part("proxy", reachable_path / "one", settings))
        other = await stack.enter_async_context(running_part("proxy", reachable_path / "other", settings))
        yield store, one, other


async def test_what_one_opens_the_other_lets_in_at_once(replicas: Replicas) -> None:
    store, one, other = replicas
    build = await add_build(store, await add_repository(store))
    async with mirror("session") as target, httpx.AsyncClient(timeout=10) as client:
        standby = await add_session(store, build, SessionState.STANDBY, target=target)
        opened = await client.get(f"{one.url}{LINK}")
        assert opened.status_code == 302
        session = await session_of(store, standby.id)
        assert session.state is SessionState.OPEN
        # Before it has heard of it, as far as that can be had.
        await other.table.del_routes([f"{session.id}/{session.token}"])
        cookie = {"Cookie": f"binder-session={session.token}"}
        address = f"{other.url}/s/{session.id}/lab?a=b"
        page = await client.get(address, headers=cookie)
        if page.status_code == 307:
            assert page.headers["location"] == f"/s/{session.id}/lab?a=b"
            page = await client.get(address, headers=cookie)
        assert page.json()["name"] == "session"


async def test_all_learn_of_a_route(replicas: Replicas) -> None:
    store, one, other = replicas
    build = await add_build(store, await add_repository(store))
    async with mirror("session") as target:
        session = await add_session(store, build, SessionState.OPEN, target=target)
        key = f"{session.id}/{session.token}"
        for replica in (one, other):
            async with asyncio.timeout(10):
                while key not in await replica.table.show_routes():  # noqa: ASYNC110 - HAProxy gives no sign
                    await asyncio.sleep(0.01)
