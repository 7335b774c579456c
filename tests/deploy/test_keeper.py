"""The loop of sessions: with a real store and an engine of words, and dying at every point."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.errors import BinderError, RepositoryFault
from binder.lifecycle import BuildState, SessionState
from binder.notebook_checks import CheckSettings
from binder.settings import Settings, read_settings
from binder.store import Store, open_store
from binder.store.notebook_runs import claim_run, finish_run, note_session, want_runs
from binder.store.queries import LIVE_SESSIONS, advance_build, advance_session
from binder.store.tables import Build, Session, utc_now
from deploy.engine import Engine, Running, ServiceState, SessionSpec
from deploy.fake import FakeEngine, FakeImage
from deploy.keeper import Keeper
from deploy.records import renew_lease, take_session
from deploy.service_words import kept_after
from modules.bound import Bound, BoundComponent, as_json
from modules.definition import Mode, Page
from modules.services import password_of
from tests.postgresql import EACH_STORE
from tests.proxy.rows import IMAGE, SHA, add_build, add_preview, add_repository, add_session

CHECKING = BuildState.CHECKING


@dataclass
class FakeProof:
    """Passes, or fails with `fault`, once `gate` is open."""

    fault: BinderError | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def __call__(
        self, engine: Engine, spec: SessionSpec, target: str, *, timeout_seconds: float
    ) -> AsyncIterator[None]:
        await self.gate.wait()
        if self.fault:
            raise self.fault
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(state_dir=tmp_path, session_idle_seconds=60)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine({IMAGE: FakeImage()})


@pytest.fixture
def proof() -> FakeProof:
    proof = FakeProof()
    proof.gate.set()
    return proof


@pytest.fixture
async def keeper(store: Store, engine: FakeEngine, settings: Settings, proof: FakeProof) -> AsyncIterator[Keeper]:
    keeper = Keeper(store, engine, settings, proof)
    yield keeper
    await keeper.close()


async def until_quiet(keeper: Keeper) -> None:
    """Run the loop until it has nothing to do."""
    for _ in range(3000):
        at_work = bool(keeper._tasks)
        if not await keeper.step() and not at_work:
            return
        await asyncio.sleep(0.002)
    raise AssertionError("the loop does not come to an end")


async def add_checking(store: Store, sha: str = SHA) -> Build:
    repository = await add_repository(store)
    preview = await add_preview(store, repository, "main", sha)
    return await add_build(store, repository, CHECKING, sha=sha, preview_id=preview.id, result={"image": IMAGE})


async def build_now(store: Store) -> Build:
    async with store.read() as session:
        return (await session.scalars(select(Build))).one()


async def sessions_now(store: Store) -> list[Session]:
    async with store.read() as session:
        return list(await session.scalars(select(Session).order_by(Session.created_at, Session.id)))


async def test_a_checked_build_gets_a_standby_and_succeeds(store: Store, keeper: Keeper, engine: FakeEngine) -> None:
    build = await add_checking(store)
    await until_quiet(keeper)
    (row,) = await sessions_now(store)
    assert (row.state, row.build_id, row.image) == (SessionState.STANDBY, build.id, IMAGE)
    assert row.target == (await engine.running())[row.id].target
    assert row.lease_owner is None
    assert (await build_now(store)).state is BuildState.SUCCEEDED
    assert engine.started == [row.id]
    assert engine.stopped == []


async def test_a_claimed_standby_is_followed_by_the_next(store: Store, keeper: Keeper, engine: FakeEngine) -> None:
    await add_checking(store)
    await until_quiet(keeper)
    async with store.write() as session:
        advance_session((await session.scalars(select(Session))).one(), SessionState.OPEN, utc_now())
    await until_quiet(keeper)
    assert [row.state for row in await sessions_now(store)] == [SessionState.OPEN, SessionState.STANDBY]
    assert len(await engine.running()) == 2


async def test_a_server_that_does_not_work_fails_the_build(
    store: Store, keeper: Keeper, engine: FakeEngine, proof: FakeProof
) -> None:
    await add_checking(store)
    proof.fault = RepositoryFault("The notebook server did not come up.", step="start")
    await until_quiet(keeper)
    (row,) = await sessions_now(store)
    assert (row.state, row.reason) == (SessionState.FAILED, "The notebook server did not come up.")
    build = await build_now(store)
    assert build.state is BuildState.FAILED
    assert build.fault
    assert (build.fault["party"], build.fault["step"]) == ("repository", "start")
    assert await engine.running() == {}


async def test_an_engine_that_does_not_work_is_no_fault_of_the_repositorys(
    store: Store, settings: Settings, proof: FakeProof
) -> None:
    await add_checking(store)
    keeper = Keeper(store, FakeEngine({}), settings, proof)
    await until_quiet(keeper)
    build = await build_now(store)
    assert build.state is BuildState.FAILED
    assert build.fault
    assert build.fault["party"] == "operator"


async def test_what_is_superseded_while_it_starts_is_removed(
    store: Store, keeper: Keeper, engine: FakeEngine, proof: FakeProof
) -> None:
    await add_checking(store)
    proof.gate.clear()
    while not await engine.running():
        await keeper.step()
        await asyncio.sleep(0.002)
    async with store.write() as session:
        advance_build((await session.scalars(select(Build))).one(), BuildState.SUPERSEDED, utc_now())
    await until_quiet(keeper)
    assert [row.state for row in await sessions_now(store)] == [SessionState.ENDED]
    assert await engine.running() == {}


async def test_only_a_few_start_at_a_time(store: Store, keeper: Keeper, engine: FakeEngine, proof: FakeProof) -> None:
    build = await add_checking(store)
    for _ in range(10):
        await add_session(store, build, SessionState.WANTED)
    proof.gate.clear()
    for _ in range(30):
        await keeper.step()
        await asyncio.sleep(0.002)
    assert len(engine.started) == 4
    proof.gate.set()
    await until_quiet(keeper)
    assert len(engine.started) == 10


@EACH_STORE
async def test_what_is_wanted_starts_without_a_look_at_all_else(
    store: Store, keeper: Keeper, engine: FakeEngine, proof: FakeProof
) -> None:
    build = await add_build(store, await add_repository(store))
    for _ in range(5):
        await add_session(store, build, SessionState.WANTED)
    await add_session(store, build, SessionState.WANTED, lease_until=utc_now() + timedelta(minutes=1))
    oldest = [row.id for row in await sessions_now(store)][:4]
    proof.gate.clear()
    assert await keeper.start_wanted()
    assert not await keeper.start_wanted()
    while len(engine.started) < 4:  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(0.002)
    assert sorted(engine.started) == sorted(oldest)
    proof.gate.set()
    while keeper._tasks:  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(0.002)
    assert await keeper.start_wanted()
    assert not await keeper.start_wanted()


def module_of(image: str | None = None, *, mode: Mode = "single-node") -> Bound:
    """Return a module as a build's row keeps it."""
    template = {
        "command": ["serve", "{{ size }}"],
        "environment": {"PASSWORD": "{{ password }}"},
        "ports": {"web": 80},
        "health": ["true"],
    }
    component = BoundComponent("server", image, template, 1, 2**20)
    environment = {"STORE_URL": "http://{{ password }}@{{ hosts.server }}"}
    pages = (Page("Shelves", "server", "web"),)
    return Bound("store", "1", "Store", mode, {"size": 3}, ("password",), (component,), environment, pages)


async def add_checking_with(store: Store, *modules: Bound) -> None:
    build = await add_checking(store)
    async with store.write() as session:
        (await session.get_one(Build, build.id)).result = {"image": IMAGE, "modules": as_json(modules)}


async def test_a_session_gets_the_services_of_its_build(store: Store, keeper: Keeper, engine: FakeEngine) -> None:
    await add_checking_with(store, module_of())
    await until_quiet(keeper)
    (row,) = await sessions_now(store)
    password = password_of(row.token, "store", "password")
    services = engine.specs[row.id].services
    assert [(one.name, one.command, one.environment) for one in services.services] == [
        ("store-server", ("serve", "3"), {"PASSWORD": password})
    ]
    assert services.environment == {"STORE_URL": f"http://{password}@127.0.0.1"}
    assert row.services == {
        "services": {
            "store-server": {"title": "Store", "ready": True, "restarts": 0, "reason": None, "gave_up": False}
        },
        "links": [{"title": "Store: Shelves", "path": "proxy/80/"}],
    }


async def test_where_components_have_pods_of_their_own_they_are_reached_there(
    store: Store, engine: FakeEngine, settings: Settings, proof: FakeProof
) -> None:
    await add_checking_with(store, module_of(mode="multi-node"))
    keeper = Keeper(store, engine, settings, proof, host_of="{0}.{1}".format)
    await until_quiet(keeper)
    (row,) = await sessions_now(store)
    (service,) = engine.specs[row.id].services.services
    assert (service.apart, service.host) == (True, f"{row.id}.store-server")


async def test_what_services_are_at_is_kept_with_the_session(
    store: Store, keeper: Keeper, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.keeper._LOOK_AT_ENGINE_SECONDS", 0)
    await add_checking_with(store, module_of())
    await until_quiet(keeper)
    (row,) = await sessions_now(store)

    async def kept() -> Any:
        await keeper.step()
        (row,) = await sessions_now(store)
        return (row.services or {})["services"]["store-server"]

    assert (await kept())["ready"]
    engine.end_service(row.id, "store-server", exit_code=1)
    told = {"title": "Store", "ready": False, "restarts": 1, "reason": "It ended with exit code 1.", "gave_up": False}
    assert await kept() == told
    assert await kept() == {**told, "ready": True, "reason": None}


def test_a_service_of_which_nothing_is_seen_is_not_ready() -> None:
    one = {"title": "Store", "ready": True, "restarts": 2, "reason": None, "gave_up": False}
    kept = {"services": {"a": one, "b": one}, "links": []}
    seen = {"a": ServiceState(ready=True, restarts=3)}
    assert kept_after(kept, seen) == {
        "services": {"a": one | {"restarts": 3}, "b": one | {"ready": False}},
        "links": [],
    }


async def test_a_module_that_cannot_be_filled_fails_the_session_and_no_more(
    store: Store, keeper: Keeper, engine: FakeEngine
) -> None:
    await add_checking_with(store, replace(module_of(), values={}))
    await until_quiet(keeper)
    (row,) = await sessions_now(store)
    assert row.state is SessionState.FAILED
    assert engine.started == []


async def test_a_service_that_does_not_come_up_fails_the_build(
    store: Store, settings: Settings, proof: FakeProof
) -> None:
    await add_checking_with(store, module_of("broken"))
    engine = FakeEngine({IMAGE: FakeImage(), "broken": FakeImage(exit_code=1, log="no such option")})
    await until_quiet(Keeper(store, engine, settings, proof))
    fault = (await build_now(store)).fault
    assert fault
    said = "Store did not start. It ended with exit code 1. Its last lines: no such option"
    assert (fault["party"], fault["step"], fault["message"]) == ("repository", "modules", said)


class SlowEngine(FakeEngine):
    """An engine that a session is started on while it is asked what there is."""

    before: Callable[[], Awaitable[None]]

    async def running(self) -> Mapping[str, Running]:
        await self.before()
        return await super().running()


async def test_what_was_started_during_a_look_is_no_leftover(
    store: Store, settings: Settings, proof: FakeProof
) -> None:
    build = await add_build(store, await add_repository(store))
    engine = SlowEngine({IMAGE: FakeImage()})
    keeper = Keeper(store, engine, settings, proof)

    async def start_one() -> None:
        await add_session(store, build, SessionState.WANTED)
        assert await keeper.start_wanted()
        while keeper._tasks:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.002)

    engine.before = start_one
    await keeper.step()
    await keeper.close()
    (row,) = await sessions_now(store)
    assert row.state is SessionState.STANDBY
    assert engine.stopped == []


async def test_what_came_up_late_but_before_it_was_given_up_stays(
    store: Store, settings: Settings, proof: FakeProof
) -> None:
    build = await add_build(store, await add_repository(store))
    over = utc_now() - timedelta(seconds=1)
    row = await add_session(store, build, SessionState.STARTING, lease_owner="late", lease_until=over)
    engine = SlowEngine({IMAGE: FakeImage()})
    keeper = Keeper(store, engine, settings, proof)

    async def come_up() -> None:
        await engine.start(SessionSpec(row.id, IMAGE, row.token, 1, 1, 1))
        async with store.write() as session:
            advance_session(await session.get_one(Session, row.id), SessionState.STANDBY, utc_now())

    engine.before = come_up
    await keeper.step()
    await asyncio.gather(*keeper._tasks.values())
    assert engine.stopped == []
    assert [one.state for one in await sessions_now(store)] == [SessionState.STANDBY]
    await keeper.close()


async def test_no_more_start_than_there_are_places(
    store: Store, engine: FakeEngine, settings: Settings, proof: FakeProof
) -> None:
    build = await add_build(store, await add_repository(store))
    for state in (SessionState.OPEN, SessionState.WANTED, SessionState.WANTED, SessionState.WANTED):
        await add_session(store, build, state)
    proof.gate.clear()
    keeper = Keeper(store, engine, settings.model_copy(update={"sessions_at_most": 3}), proof, at_once=100)
    assert await keeper.start_wanted()
    assert not await keeper.start_wanted()
    assert len(keeper._starting) == 2
    await keeper.close()


async def test_to_close_gives_up_what_is_being_started(
    store: Store, keeper: Keeper, engine: FakeEngine, proof: FakeProof
) -> None:
    await add_checking(store)
    proof.gate.clear()
    while not await engine.running():
        await keeper.step()
        await asyncio.sleep(0.002)
    await keeper.close()
    assert await engine.running() == {}
    assert [row.state for row in await sessions_now(store)] == [SessionState.STARTING]


@pytest.mark.parametrize(
    ("exit_code", "state", "reason"),
    [
        (0, SessionState.ENDED, "The notebook server was shut down."),
        (1, SessionState.FAILED, "The notebook server ended with exit code 1."),
    ],
)
async def test_a_server_that_ended_ends_its_session(
    store: Store, keeper: Keeper, engine: FakeEngine, exit_code: int, state: SessionState, reason: str
) -> None:
    build = await add_build(store, await add_repository(store))
    row = await add_session(store, build, SessionState.OPEN, activity_at=utc_now())
    await engine.start(SessionSpec(row.id, IMAGE, row.token, 1, 1, 1))
    engine.end(row.id, exit_code=exit_code)
    await until_quiet(keeper)
    (row,) = await sessions_now(store)
    assert (row.state, row.reason) == (state, reason)
    assert await engine.running() == {}


async def test_a_build_whose_notebooks_have_to_run_waits_for_them(
    store: Store, keeper: Keeper, engine: FakeEngine
) -> None:
    build = await add_checking(store)
    async with store.write() as session:
        (await session.get_one(Build, build.id)).awaits_check = True
        want_runs(session, build, ["a.ipynb"], CheckSettings())
    run = await claim_run(store, lease_seconds=30)
    assert run
    assert await note_session(store, run.id, "scheck")
    await engine.start(SessionSpec("scheck", IMAGE, "token", 1, 1, 1))
    await until_quiet(keeper)
    # The session that they run in is none of the pool's: neither removed, nor a standby.
    assert (engine.stopped, await sessions_now(store)) == ([], [])
    assert (await build_now(store)).state is CHECKING
    await finish_run(store, run.id, seconds=1.0)
    keeper._looked_at = -60
    await until_quiet(keeper)
    # Whoever died before it was ended has left it behind.
    assert engine.stopped == ["scheck"]
    (row,) = await sessions_now(store)
    assert (row.state, (await build_now(store)).state) == (SessionState.STANDBY, BuildState.SUCCEEDED)


async def test_a_pod_of_no_session_is_removed(store: Store, keeper: Keeper, engine: FakeEngine) -> None:
    await engine.start(SessionSpec("sleftover", IMAGE, "token", 1, 1, 1))
    await until_quiet(keeper)
    assert engine.stopped == ["sleftover"]


@asynccontextmanager
async def notebook_server(last_activity: str, kernel: str = "idle") -> AsyncIterator[str]:
    """A server that says when it was last used, and what its kernel is at."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        says = [{"execution_state": kernel}] if b"/api/kernels?" in asked else {"last_activity": last_activity}
        body = json.dumps(says).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


async def _open_session(store: Store, engine: FakeEngine, target: str) -> Session:
    build = await add_build(store, await add_repository(store))
    long_ago = utc_now() - timedelta(hours=1)
    row = await add_session(store, build, SessionState.OPEN, activity_at=long_ago, target=target)
    await engine.start(SessionSpec(row.id, IMAGE, row.token, 1, 1, 1))
    return row


async def test_a_session_that_jupyter_says_is_used_goes_on(store: Store, keeper: Keeper, engine: FakeEngine) -> None:
    used_at = utc_now() - timedelta(seconds=5)
    async with notebook_server(used_at.isoformat().replace("+00:00", "Z")) as target:
        await _open_session(store, engine, target)
        await until_quiet(keeper)
    (row,) = await sessions_now(store)
    assert row.state is SessionState.OPEN
    assert row.activity_at == used_at


async def test_a_session_whose_kernel_computes_goes_on(store: Store, keeper: Keeper, engine: FakeEngine) -> None:
    async with notebook_server("2020-01-01T00:00:00Z", "busy") as target:
        await _open_session(store, engine, target)
        await until_quiet(keeper)
    assert [row.state for row in await sessions_now(store)] == [SessionState.OPEN]


async def test_a_session_that_computes_without_end_ends(store: Store, keeper: Keeper, engine: FakeEngine) -> None:
    async with notebook_server("2020-01-01T00:00:00Z", "busy") as target:
        row = await _open_session(store, engine, target)
        async with store.write() as session:
            (await session.get_one(Session, row.id)).activity_at = utc_now() - timedelta(hours=3)
        await until_quiet(keeper)
    (row,) = await sessions_now(store)
    assert (row.state, row.reason) == (SessionState.ENDED, "It computed for 3 h, and nobody looked at it.")


@pytest.mark.parametrize("says", ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00", "yesterday"])
async def test_a_session_that_nobody_uses_ends(store: Store, keeper: Keeper, engine: FakeEngine, says: str) -> None:
    async with notebook_server(says) as target:
        await _open_session(store, engine, target)
        await until_quiet(keeper)
    (row,) = await sessions_now(store)
    assert (row.state, row.reason) == (SessionState.ENDED, "Nobody used it for 1 min.")
    assert await engine.running() == {}


async def test_a_session_is_taken_by_one(store: Store) -> None:
    build = await add_build(store, await add_repository(store))
    row = await add_session(store, build, SessionState.WANTED)
    async with open_store(store.url) as other:
        taken = await asyncio.gather(*(take_session(one, row.id, lease_seconds=30) for one in (store, other)))
        assert [one is None for one in taken].count(False) == 1
        owner, stranger = (store, other) if taken[0] else (other, store)
        (before,) = await sessions_now(store)
        await renew_lease(stranger, row.id, lease_seconds=100)
        assert (await sessions_now(store))[0].lease_until == before.lease_until
        await renew_lease(owner, row.id, lease_seconds=100)
        assert (await sessions_now(store))[0].lease_until != before.lease_until


class Died(BaseException):
    """The process is gone: nothing that it still tries has an effect."""


@dataclass
class Life:
    """How many more things a process does before it is killed."""

    left: int

    def spend(self) -> None:
        if self.left <= 0:
            raise Died
        self.left -= 1


class MortalStore(Store):
    """A store whose process may die before each transaction, in it, and after it."""

    def __init__(self, url: str, life: Life) -> None:
        super().__init__(url)
        self._life = life

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        self._life.spend()
        async with super().read() as session:
            yield session

    @asynccontextmanager
    async def write(self, *, only_arrivals: bool = False, tells: bool = True) -> AsyncIterator[AsyncSession]:
        self._life.spend()
        async with super().write(only_arrivals=only_arrivals, tells=tells) as session:
            yield session
            self._life.spend()
        self._life.spend()


class MortalEngine:
    """An engine that goes on when the process dies that asks it."""

    def __init__(self, engine: FakeEngine, life: Life) -> None:
        self._engine = engine
        self._life = life

    async def start(self, spec: SessionSpec) -> str:
        self._life.spend()
        target = await self._engine.start(spec)
        self._life.spend()
        return target

    async def stop(self, session_id: str) -> None:
        self._life.spend()
        await self._engine.stop(session_id)
        self._life.spend()

    async def running(self) -> Mapping[str, Running]:
        self._life.spend()
        return await self._engine.running()

    async def log_of(self, session_id: str, service: str = "") -> str:
        self._life.spend()
        return await self._engine.log_of(session_id, service)


async def _live_for(things: int, url: str, engine: FakeEngine, settings: Settings, proof: FakeProof) -> bool:
    """Be a service that is killed after so many things; return whether it had nothing more to do before that."""
    life = Life(10**9)
    store = MortalStore(url, life)
    try:
        await store.release_leases(of_all=True)
        life.left = things
        keeper = Keeper(store, MortalEngine(engine, life), settings, proof)
        try:
            await until_quiet(keeper)
        except Died:
            return False
        else:
            return life.left > 0
        finally:
            life.left = 0
            await keeper.close()
    finally:
        await store.close()


async def test_a_service_that_dies_at_any_point_is_followed_by_one_that_finishes(
    tmp_path: Path, settings: Settings, proof: FakeProof
) -> None:
    for things in range(1, 100):
        url = f"sqlite+aiosqlite:///{tmp_path / f'{things}.db'}"
        engine = FakeEngine({IMAGE: FakeImage()})
        async with open_store(url) as store:
            await add_checking(store)
            finished = await _live_for(things, url, engine, settings, proof)
            assert await _live_for(10**6, url, engine, settings, proof)
            assert (await build_now(store)).state is BuildState.SUCCEEDED
            (live,) = [row for row in await sessions_now(store) if row.state in LIVE_SESSIONS]
            assert live.state is SessionState.STANDBY
            assert set(await engine.running()) == {live.id}
        if finished:
            break
    assert 15 < things < 99
