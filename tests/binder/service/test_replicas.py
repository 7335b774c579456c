"""Several proxy processes on one PostgreSQL: what one of them opens, the others let in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from binder.cli.child import running_child
from binder.lifecycle import SessionState
from binder.paths import Paths
from binder.store import Store, open_store
from proxy.runtime import RuntimeApi
from tests.postgresql import PostgreSQL
from tests.proxy.conftest import free_port
from tests.proxy.rows import SHA, add_build, add_repository, add_session, session_of
from tests.proxy.upstreams import mirror

LINK = f"/v2/gh/ada/notebooks/{SHA}?urlpath=lab"


@dataclass(frozen=True)
class Replica:
    """A proxy in a process of its own."""

    url: str
    table: RuntimeApi


@asynccontextmanager
async def running_replica(home: Path, database_url: str) -> AsyncIterator[Replica]:
    """Run `binder serve --part proxy` in a folder of its own."""
    listen = f"127.0.0.1:{free_port()}"
    home.mkdir(mode=0o711)
    environment = {
        "BINDER_ENGINE": "kubernetes",
        "BINDER_REGISTRY": "127.0.0.1:1/binder",
        "BINDER_DATABASE_URL": database_url,
        "BINDER_STATE_DIR": str(home / "state"),
        "BINDER_CACHE_DIR": str(home / "cache"),
        "BINDER_LISTEN": listen,
        "BINDER_URL": f"http://{listen}",
    }
    child = running_child(f"http://{listen}", environment, home / "log", part="proxy", ephemeral=False)
    async with child:
        paths = Paths(home / "state", home / "cache")
        yield Replica(f"http://{listen}", RuntimeApi(paths.run / "haproxy" / "admin.sock"))


@pytest.fixture
async def replicas(reachable_path: Path, postgresql: PostgreSQL) -> AsyncIterator[tuple[Store, Replica, Replica]]:
    """A store, and two proxies on it."""
    url = postgresql.new_database()
    async with open_store(url) as store, AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(running_replica(reachable_path / name, url)) for name in ("one", "other")
        ]
        yield store, one, other


async def test_what_one_opens_the_other_lets_in_at_once(replicas: tuple[Store, Replica, Replica]) -> None:
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


async def test_all_learn_of_a_route(replicas: tuple[Store, Replica, Replica]) -> None:
    store, one, other = replicas
    build = await add_build(store, await add_repository(store))
    async with mirror("session") as target:
        session = await add_session(store, build, SessionState.OPEN, target=target)
        key = f"{session.id}/{session.token}"
        for replica in (one, other):
            async with asyncio.timeout(10):
                while key not in await replica.table.show_routes():  # noqa: ASYNC110 - HAProxy gives no sign
                    await asyncio.sleep(0.01)
