"""All processes of a service are replaced, one after the other, while it is used: nothing is lost, and nothing twice.

Two proxies behind a load balancer, two controllers, a real PostgreSQL, and sessions on a real cluster.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import httpx
import pytest
from sqlalchemy import func, select

from binder.cli.demo import take_port
from binder.cli.visit import Visit, open_link
from binder.errors import WorldFault
from binder.lifecycle import DeliveryState, SessionState
from binder.store import Store, open_store
from binder.store.tables import Build, Delivery, Session
from deploy.jupyter import Client, Server, ask_kernel, channels_of, new_kernel, text_of
from githubapp.sandbox.server import running_sandbox
from tests.binder.service.processes import PartProcess, running_part
from tests.cluster.given import Cluster, Namespace
from tests.githubapp import payloads
from tests.postgresql import PostgreSQL
from tests.stage import NOTEBOOK, REPOSITORY, Stage, new_stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

_DRAIN_SECONDS = 12
_BALANCER = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
frontend all
    bind 127.0.0.1:{port}
    default_backend proxies
backend proxies
    balance roundrobin
    option httpchk GET /health
    http-check expect status 200
    option redispatch 1
    default-server check inter 300ms fall 1 rise 1
{servers}
"""


@asynccontextmanager
async def balancer(folder: Path, port: int, proxies: list[int]) -> AsyncIterator[None]:
    """Lead connections at a port to those proxies that say that they do well."""
    servers = "\n".join(f"    server p{number} 127.0.0.1:{number}" for number in proxies)
    configuration = folder / "balancer.cfg"
    configuration.write_text(_BALANCER.format(port=port, servers=servers), encoding="utf-8")
    process = await asyncio.create_subprocess_exec("haproxy", "-db", "-q", "-f", str(configuration))
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@dataclass
class Use:
    """What goes on all the time, and what came of it."""

    stage: Stage
    visit: Visit
    sha: str
    secret: str
    taken: list[str] = field(default_factory=list)
    """The ids of the deliveries that were answered 2xx."""
    refused: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What a visitor met who asked for his session."""
    asked: int = 0
    shas: list[str] = field(default_factory=list)
    """What was pushed."""

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Deliver, visit and push while the block runs; each comes to an end then."""
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for work in (self._deliver, self._visit, self._push):
                tasks.create_task(work(over))
            try:
                yield
            finally:
                over.set()

    async def _deliver(self, over: asyncio.Event) -> None:
        pushed = payloads.push(after=self.sha, **payloads.by_ada())
        while not over.is_set():
            guid = f"signed-{len(self.taken) + len(self.refused)}"
            body, headers = payloads.signed("push", pushed, self.secret, guid)
            try:
                async with httpx.AsyncClient(timeout=10) as client:  # a connection of its own each time
                    answer = await client.post(f"{self.stage.url}/webhooks/github", content=body, headers=headers)
                taken = answer.is_success
            except httpx.TransportError:
                taken = False
            (self.taken if taken else self.refused).append(guid)
            await asyncio.sleep(0.2)

    async def _visit(self, over: asyncio.Event) -> None:
        headers = {"Authorization": f"token {self.visit.token}"}
        while not over.is_set():
            self.asked += 1
            try:
                async with httpx.AsyncClient(headers=headers, timeout=10) as client:
                    answer = await client.get(f"{self.visit.base_url}api/status")
                if answer.status_code != 200:
                    self.faults.append(f"{answer.status_code}: {answer.text[:200]}")
            except httpx.TransportError as error:
                self.faults.append(repr(error))
            await asyncio.sleep(0.2)

    async def _push(self, over: asyncio.Event) -> None:
        while not over.is_set():
            self.shas.append(await self.stage.push({"data.txt": f"{len(self.shas)}\n"}))
            await asyncio.sleep(10)


class Talk:
    """A WebSocket of a kernel's, through one proxy: asked something all the time."""

    def __init__(self, visit: Visit, proxy: PartProcess, kernel: str) -> None:
        path = visit.base_url.partition("/s/")[2]
        self._server = Server.with_token(f"{proxy.url}/s/{path}", visit.token)
        self._kernel = kernel
        self.answers = 0
        self.last_at = 0.0

    async def go_on(self) -> None:
        """Talk until the socket is closed."""
        try:
            async with channels_of(self._server, self._kernel) as socket:
                while True:
                    said = [text_of(one) async for one in ask_kernel(socket, "execute_request", {"code": "print(7)"})]
                    assert "".join(said) == "7\n"
                    self.answers, self.last_at = self.answers + 1, monotonic()
                    await asyncio.sleep(0.2)
        except WorldFault:
            return


@dataclass
class Fleet:
    """The processes of a service."""

    home: Path
    settings: dict[str, str]
    parts: AsyncExitStack

    async def begin(self, part: str, name: str, port: int | None = None) -> PartProcess:
        """Start one more."""
        return await self.parts.enter_async_context(running_part(part, self.home / name, self.settings, port=port))


async def end(process: PartProcess) -> tuple[float, float]:
    """End a process as an orchestrator does; return when it was told, and when it was gone."""
    told_at = monotonic()
    process.signal(signal.SIGTERM)
    assert await process.ended(within_seconds=_DRAIN_SECONDS + 30) == 0
    return told_at, monotonic()


async def test_nothing_is_lost_and_nothing_done_twice(home: Path, postgresql: PostgreSQL, cluster: Cluster) -> None:
    port, *ports = [take_port(0, "") for _ in range(5)]
    url = postgresql.new_database()
    with cluster.namespace(pod_security="restricted") as namespace:
        async with AsyncExitStack() as stack:
            (home / "github").mkdir()
            sandbox = await stack.enter_async_context(running_sandbox(home / "github"))
            stage = await new_stage(sandbox, home, port, {})
            settings = {
                **stage.environment,
                "BINDER_DATABASE_URL": url,
                "BINDER_DRAIN_SECONDS": str(_DRAIN_SECONDS),
                "BINDER_LAUNCHES_PER_HOUR": "0",
                "BINDER_NAMESPACE": namespace.name,
                "BINDER_SESSION_PROXIES": f"{cluster.host}/32",
                "BINDER_REGISTRY": f"{cluster.registry}/binder",
                "BINDER_REGISTRY_PLAIN_HTTP": "true",
                "KUBECONFIG": str(cluster.kubeconfig),
            }
            store = await stack.enter_async_context(open_store(url))
            await stack.enter_async_context(balancer(home, port, ports))
            fleet = Fleet(home, settings, await stack.enter_async_context(AsyncExitStack()))
            await _play(stage, store, namespace, fleet, ports)


async def _play(stage: Stage, store: Store, namespace: Namespace, fleet: Fleet, ports: list[int]) -> None:
    controllers = [await fleet.begin("controller", "c1")]
    await controllers[0].logged("leadership_won")
    controllers.append(await fleet.begin("controller", "c2"))
    proxies = [await fleet.begin("proxy", f"p{number}", ports[number]) for number in range(2)]
    sha = await stage.push({"index.ipynb": NOTEBOOK})
    status = await stage.final_status(sha, timeout_seconds=300)
    assert status.state == "success", status.description
    visit = await open_link(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}", timeout_seconds=60)
    (pod,) = [one["metadata"]["uid"] for one in namespace.list("pods") if visit.base_url.split("/")[-2] in str(one)]
    use = Use(stage, visit, sha, fleet.settings["BINDER_GITHUB_WEBHOOK_SECRETS"])
    async with (
        Client(Server.with_token(visit.base_url, visit.token)) as client,
        new_kernel(client) as one,
        new_kernel(client) as other,
        use.going_on(),
    ):
        talks = [Talk(visit, proxy, kernel) for proxy, kernel in zip(proxies, (one, other), strict=True)]
        await _replace(fleet, proxies, controllers, talks, ports)
    await _nothing_is_missing(stage, store, use)
    async with store.read() as session:
        row = await session.get_one(Session, visit.base_url.split("/")[-2])
    assert row.state is SessionState.OPEN
    assert pod in {one["metadata"]["uid"] for one in namespace.list("pods")}


async def _replace(
    fleet: Fleet, proxies: list[PartProcess], controllers: list[PartProcess], talks: list[Talk], ports: list[int]
) -> None:
    """Replace all, one after the other, while somebody talks through each of the old proxies."""
    talking = [asyncio.create_task(talk.go_on()) for talk in talks]
    for number, proxy in enumerate(proxies):
        await fleet.begin("proxy", f"p{number + 2}", ports[number + 2])
        await asyncio.sleep(1)  # the balancer looks three times a second
        told_at, gone_at = await end(proxy)
        await talking[number]
        assert talks[number].answers > 0
        assert talks[number].last_at - told_at > _DRAIN_SECONDS - 3, "it was cut before its time"
        assert gone_at - told_at < _DRAIN_SECONDS + 15
        # Whoever talks through another one hears nothing of it.
        assert all(not task.done() for task in talking[number + 1 :])
    alive = [*controllers]
    for number, controller in enumerate(controllers):
        alive.append(await fleet.begin("controller", f"c{number + 3}"))
        alive.remove(controller)
        await end(controller)
        assert await anyone_leads(alive)


async def anyone_leads(controllers: list[PartProcess]) -> bool:
    """Wait until one of them leads."""
    async with asyncio.timeout(30):
        while not any(one["event"] == "leadership_won" for process in controllers for one in process.events()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return True


async def _nothing_is_missing(stage: Stage, store: Store, use: Use) -> None:
    assert use.refused == []
    assert use.faults == [], f"of {use.asked}"
    assert len(use.shas) >= 3
    # Of those before it, some were superseded, or were not the head any more when somebody looked.
    status = await stage.final_status(use.shas[-1], timeout_seconds=240)
    assert status.state == "success", status.description
    deadline = monotonic() + 60
    while True:
        async with store.read() as session:
            rows = await session.execute(select(Delivery.guid, Delivery.state, Delivery.reason))
            states = {guid: (state, reason) for guid, state, reason in rows}
            counted = await session.execute(select(Build.sha, func.count()).group_by(Build.sha))
            builds = {sha: count for sha, count in counted}  # noqa: C416 - rows are no pairs to mypy
        if all(state is not DeliveryState.STORED for state, _ in states.values()) or monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    undone = {guid: found for guid in use.taken if (found := states.get(guid, (None, None)))[0] not in _DONE}
    assert undone == {}
    assert set(builds.values()) == {1}, "a commit was built twice"
    for sha in {use.sha, use.shas[-1]}:
        finals = [one.state for one in await stage.sandbox.statuses(REPOSITORY, sha=sha) if one.state != "pending"]
        assert finals == ["success"]


_DONE = {DeliveryState.ACTED, DeliveryState.IGNORED, DeliveryState.STALE}
