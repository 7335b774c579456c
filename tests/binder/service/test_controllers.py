"""Two controllers on one PostgreSQL and a real cluster: one works at a time, and another one goes on for it."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from binder.leadership import LEASE_SECONDS
from binder.lifecycle import BuildState
from binder.store import Store, open_store
from binder.store.tables import Build, Repository
from binder.watchdog import EXIT_CODE
from tests.binder.service.processes import PartProcess, running_part
from tests.cluster.given import Cluster, Namespace
from tests.postgresql import PostgreSQL
from tests.proxy.rows import add_build

pytestmark = pytest.mark.cluster


@dataclass
class Forwarder:
    """A way to the API server that can be cut."""

    target: tuple[str, int]
    wires: set[asyncio.StreamWriter] = field(default_factory=set)
    is_cut: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if self.is_cut:
            writer.close()
            return
        onward, back = await asyncio.open_connection(*self.target)
        self.wires |= {writer, back}
        await asyncio.gather(_carry(reader, back), _carry(onward, writer))
        self.wires -= {writer, back}

    def cut(self) -> None:
        """Let nothing through any more."""
        self.is_cut = True
        for wire in self.wires:
            wire.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@dataclass
class Stage:
    """A store, a namespace, and controllers that have ways of their own to the cluster."""

    home: Path
    url: str
    store: Store
    namespace: Namespace
    cluster: Cluster
    parts: AsyncExitStack

    async def begin(self, name: str, kubeconfig: Path | None = None) -> PartProcess:
        """Start a controller."""
        settings = {
            "KUBECONFIG": str(kubeconfig or self.cluster.kubeconfig),
            "BINDER_DATABASE_URL": self.url,
            "BINDER_NAMESPACE": self.namespace.name,
            "BINDER_REGISTRY": f"{self.cluster.registry}/binder",
            "BINDER_REGISTRY_PLAIN_HTTP": "true",
        }
        return await self.parts.enter_async_context(running_part("controller", self.home / name, settings))

    def lease(self) -> dict[str, Any]:
        """Return what the Lease says."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace.name}/leases"
        (lease,) = self.cluster.api.list(path)  # the same for all
        spec: dict[str, Any] = lease["spec"]
        return spec

    async def built_once(self, name: str) -> Build:
        """Queue a build that cannot be made, and return its row once somebody has tried."""
        repository = Repository(host="local", owner="ada", name=name, clone_url="file:///nowhere/at/all")
        async with self.store.write() as session:
            session.add(repository)
        build = await add_build(self.store, repository, BuildState.QUEUED)
        async with asyncio.timeout(60):
            while True:
                async with self.store.read() as session:
                    build = await session.get_one(Build, build.id)
                if build.state is BuildState.FAILED:
                    return build
                await asyncio.sleep(0.1)


@pytest.fixture
async def stage(reachable_path: Path, postgresql: PostgreSQL, cluster: Cluster) -> AsyncIterator[Stage]:
    """A stage on which nobody plays yet."""
    url = postgresql.new_database()
    with cluster.namespace() as namespace:
        async with open_store(url) as store, AsyncExitStack() as parts:
            yield Stage(reachable_path, url, store, namespace, cluster, parts)


async def _first_and_second(stage: Stage, **ways: Path) -> tuple[PartProcess, PartProcess]:
    """Start two controllers, of which the first leads."""
    first = await stage.begin("first", **ways)
    await first.logged("leadership_won")
    return first, await stage.begin("second")


def _at(event: dict[str, Any]) -> str:
    """Return when something was logged: texts that sort like times."""
    return str(event["timestamp"])


async def test_who_is_killed_is_followed_within_the_leases_time(stage: Stage) -> None:
    first, second = await _first_and_second(stage)
    await stage.built_once("one")
    assert not [event for event in second.events() if event["event"] == "leadership_won"]
    killed_at = time.monotonic()
    first.signal(signal.SIGKILL)
    await second.logged("leadership_won")
    assert time.monotonic() - killed_at < LEASE_SECONDS + 5
    build = await stage.built_once("two")
    assert {event["build"] for event in second.events() if event["event"] == "build_started"} == {build.id}
    assert stage.lease()["leaseTransitions"] == 2


async def test_who_stops_leaves_it_to_the_next_at_once(stage: Stage) -> None:
    first, second = await _first_and_second(stage)
    first.signal(signal.SIGTERM)
    assert await first.ended() == 0
    won = await second.logged("leadership_won", within_seconds=5)
    assert _at(await first.logged("leadership_given_up")) < _at(won)


async def test_who_is_cut_off_from_the_cluster_stops_before_another_one_begins(stage: Stage, tmp_path: Path) -> None:
    settings = yaml.safe_load(stage.cluster.kubeconfig.read_text(encoding="utf-8"))
    place = settings["clusters"][0]["cluster"]
    host, _, port = place["server"].removeprefix("https://").partition(":")
    way = Forwarder((host, int(port)))
    server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    place |= {"server": f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", "tls-server-name": host}
    (tmp_path / "kubeconfig").write_text(json.dumps(settings), encoding="utf-8")
    async with server:
        first, second = await _first_and_second(stage, kubeconfig=tmp_path / "kubeconfig")
        way.cut()
        won = await second.logged("leadership_won", within_seconds=LEASE_SECONDS + 15)
        assert _at(await first.logged("leadership_lost")) < _at(won)
        build = await stage.built_once("one")
        assert not [event for event in first.events() if event.get("build") == build.id]
        assert first.process.returncode is None  # it waits for its next turn


async def test_who_slept_through_its_time_does_nothing_more(stage: Stage) -> None:
    first, second = await _first_and_second(stage)
    first.signal(signal.SIGSTOP)
    await second.logged("leadership_won", within_seconds=LEASE_SECONDS + 15)
    first.signal(signal.SIGCONT)
    assert await first.ended() == EXIT_CODE
    build = await stage.built_once("one")
    assert [event["build"] for event in second.events() if event["event"] == "build_started"] == [build.id]
