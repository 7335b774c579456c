"""The loop of sessions: looks at the store and the engine, decides (`deploy.pool`), and does it.

Each session that something is done to has one task here. A session that is being started is held by a lease, so that
whoever comes after us, however we ended, finds what was begun and takes it up again.

There are two loops. `step` looks at everything, which takes the longer the more there is. `start_wanted` looks for what
is to be started and at nothing else, so that a visitor does not wait for that; it does nothing that `step` would not.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial

from binder.errors import BinderError, OperatorFault
from binder.log import logger
from binder.settings import Settings
from binder.store import Store
from binder.store.notebook_runs import sessions_of_runs
from binder.store.tables import Session, utc_now
from deploy.engine import Engine, Running, ServiceState, SessionSpec
from deploy.facts import Ending, PoolFacts
from deploy.jupyter import usage_of
from deploy.leases import leased
from deploy.lifetime import judge_usage, patience_of
from deploy.pool import decide_pool
from deploy.probe import Proof, proof_of, server_of
from deploy.records import (
    add_sessions,
    asked_of,
    end_session,
    is_abandoned,
    is_running,
    judge_builds,
    mark_failed,
    mark_ready,
    note_activity,
    note_services,
    read_facts,
    read_waiting,
    renew_lease,
    session_of,
    take_session,
    want_again,
)
from deploy.service_words import kept_at_start
from deploy.specs import spec_of
from modules.bound import from_json

log = logger(__name__)

_LEASE_SECONDS = 30.0
_LOOK_AT_ENGINE_SECONDS = 3.0
_ASK_AGAIN_SECONDS = 30.0
ON_ONE_MACHINE = 4
ON_A_CLUSTER = 200
"""How many sessions are started at a time: a cluster takes a second or two for each, however many there are."""


class Keeper:
    """Keeps the sessions of one store on one engine.

    `at_once` sessions are started at a time, and so many are removed: what one machine's processors do well is far less
    than what a cluster does. `host_of` says where a component with pods of its own is reached, by the session's id and
    the component's name; None: there are no such pods.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        settings: Settings,
        proof: Proof = proof_of,
        *,
        at_once: int = ON_ONE_MACHINE,
        host_of: Callable[[str, str], str] | None = None,
    ) -> None:
        self._store = store
        self._engine = engine
        self._settings = settings
        self._proof = proof
        self._patience = patience_of(settings)
        self._asked: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._starting: set[str] = set()
        self._begun: set[str] = set()
        """Sessions of which a start was begun since the last look at everything began, or before and not ended then."""
        self._at_once = at_once
        self._host_of = host_of
        self._told: dict[str, Mapping[str, ServiceState]] = {}
        """What the rows of sessions say of their services, as far as it was looked at."""
        self._removing = asyncio.Semaphore(at_once)
        self._asking = asyncio.Semaphore(at_once)
        self._looked_at = -_LOOK_AT_ENGINE_SECONDS

    async def step(self) -> bool:
        """Look, decide, and do what takes no time; what does is begun. Return whether there was anything to do."""
        facts = await self._look()
        plan = decide_pool(facts, utc_now())
        if plan.succeed or plan.fail:
            await judge_builds(self._store, plan.succeed, plan.fail)
        if plan.want:
            await add_sessions(self._store, plan.want)
        ended = [ending for ending in plan.end if await end_session(self._store, ending)]
        begun = [self._end(ending) for ending in ended]
        leftovers = [session_id for session_id in plan.remove if session_id not in self._begun]
        begun += [self._begin(session_id, self._remove(session_id)) for session_id in leftovers]
        begun += [self._begin(session_id, self._prepare_again(session_id)) for session_id in plan.again]
        begun += [self._begin(one.session_id, self._end_if_unused(one)) for one in self._to_ask(plan.idle)]
        begun += [self._begin_start(session_id) for session_id in plan.start]
        return bool(plan.succeed or plan.fail or plan.want) or any(begun)

    async def start_wanted(self) -> bool:
        """Begin to start what is wanted, as far as there are places; return whether there was anything."""
        free = self._at_once - len(self._starting)
        if free <= 0:
            return False
        waiting = await read_waiting(self._store, utc_now(), at_most=free + len(self._starting))
        new = [session_id for session_id in waiting.ids if session_id not in self._starting]
        begun = len(waiting.ids) - len(new)
        places = max(0, self._settings.sessions_at_most - waiting.running - begun)
        started = [self._begin_start(session_id) for session_id in new[:places]]
        return any(started)

    async def close(self) -> None:
        """Give up what is being done; sessions that run go on, and rows stay as they are for whoever comes next."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _look(self) -> PoolFacts:
        self._begun = set(self._starting)
        facts = await read_facts(
            self._store,
            pods=None,
            sessions_at_most=self._settings.sessions_at_most,
            standbys_at_most=self._settings.standbys_at_most,
            patience=self._patience,
            now=utc_now(),
        )
        if time.monotonic() - self._looked_at < _LOOK_AT_ENGINE_SECONDS:
            return facts
        # After the store: a row without a pod has lost it, and a pod without a row is a leftover, or was begun since.
        pods = await self._engine.running()
        # What notebooks are checked in was written down before it was started, and is none of the pool's.
        checks = await sessions_of_runs(self._store)
        pods = {session_id: pod for session_id, pod in pods.items() if session_id not in checks}
        self._looked_at = time.monotonic()
        await self._note_services(pods)
        return replace(facts, pods=pods)

    async def _note_services(self, pods: Mapping[str, Running]) -> None:
        live = {session_id: pod for session_id, pod in pods.items() if pod.alive}
        seen = {one: pod.services for one, pod in live.items() if pod.services or one in self._told}
        self._told = {session_id: told for session_id, told in self._told.items() if session_id in seen}
        for session_id, services in seen.items():
            if self._told.get(session_id) != services and await note_services(self._store, session_id, services):
                self._told[session_id] = services

    def _begin(self, session_id: str, work: Coroutine[None, None, None]) -> bool:
        """Do something to a session, unless something is being done to it already."""
        if session_id in self._tasks:
            work.close()
            return False
        task = asyncio.create_task(self._logged(session_id, work), name=f"session-{session_id}")
        self._tasks[session_id] = task
        task.add_done_callback(lambda _: self._forget(session_id))
        return True

    def _forget(self, session_id: str) -> None:
        self._tasks.pop(session_id, None)
        self._starting.discard(session_id)
        self._store.changed.give()

    async def _logged(self, session_id: str, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception:
            # The row says what is to be done, and the next look finds it.
            log.exception("session_work_failed", session=session_id)

    def _begin_start(self, session_id: str) -> bool:
        if len(self._starting) >= self._at_once or session_id in self._tasks:
            return False
        self._starting.add(session_id)
        self._begun.add(session_id)
        return self._begin(session_id, self._start(session_id))

    async def _start(self, session_id: str) -> None:
        row = await take_session(self._store, session_id, lease_seconds=_LEASE_SECONDS)
        if row is None:
            return
        is_up = False
        try:
            async with self._lease(session_id):
                is_up = await self._bring_up(row)
        finally:
            if not is_up and not await is_running(self._store, session_id):
                await self._engine.stop(session_id)

    async def _bring_up(self, row: Session) -> bool:
        """Start a session and make it a standby, or say what was wrong; return whether it is one."""
        bound = log.bind(session=row.id, build=row.build_id)
        began = time.monotonic()
        try:
            spec = await self._spec(row)
            target = await self._engine.start(spec)
            timeout_seconds = self._settings.start_timeout_seconds
            async with self._proof(self._engine, spec, target, timeout_seconds=timeout_seconds):
                if await mark_ready(self._store, spec.id, target, kept_at_start(spec.services)):
                    bound.info("session_started", seconds=round(time.monotonic() - began, 3))
                    return True
        except BinderError as error:
            bound.warning("session_failed", party=error.party, reason=error.message, cause=str(error.__cause__ or ""))
            await mark_failed(self._store, row.id, error)
        except Exception:  # noqa: BLE001 - whatever it is, the commit must not stay pending
            bound.exception("session_broke")
            fault = OperatorFault("Something went wrong in this service while it started the session.")
            await mark_failed(self._store, row.id, fault)
        return False

    async def _spec(self, row: Session) -> SessionSpec:
        (asked, modules), settings = await asked_of(self._store, row.build_id), self._settings
        if row.deployed is not None:
            modules = from_json(row.deployed["modules"])
        host_of = partial(self._host_of, row.id) if self._host_of else None
        return spec_of(settings, asked, modules, session_id=row.id, image=row.image, token=row.token, host_of=host_of)

    def _lease(self, session_id: str) -> AbstractAsyncContextManager[None]:
        """Keep the session's row ours while the block runs."""
        renew = partial(renew_lease, self._store, session_id, lease_seconds=_LEASE_SECONDS)
        return leased(renew, _LEASE_SECONDS)

    def _end(self, ending: Ending) -> bool:
        log.info("session_ended", session=ending.session_id, was=ending.was, now=ending.state, reason=ending.reason)
        if task := self._tasks.get(ending.session_id):
            task.cancel()  # it is being started, and removes what it started
            return True
        return self._begin(ending.session_id, self._remove(ending.session_id))

    async def _remove(self, session_id: str) -> None:
        async with self._removing:
            await self._engine.stop(session_id)

    async def _prepare_again(self, session_id: str) -> None:
        if not await is_abandoned(self._store, session_id):
            return  # it came up since that was decided
        log.warning("session_wanted_again", session=session_id)
        await self._remove(session_id)
        await want_again(self._store, session_id)

    def _to_ask(self, idle: Iterable[Ending]) -> list[Ending]:
        """Return those whose servers were not asked a moment ago: one that computes may do so for long."""
        due = time.monotonic() - _ASK_AGAIN_SECONDS
        self._asked = {session_id: at for session_id, at in self._asked.items() if at > due}
        asked = [ending for ending in idle if ending.session_id not in self._asked]
        self._asked |= dict.fromkeys((ending.session_id for ending in asked), time.monotonic())
        return asked

    async def _end_if_unused(self, ending: Ending) -> None:
        row = await session_of(self._store, ending.session_id)
        async with self._asking:
            usage = await usage_of(server_of(row.id, row.target or "", row.token))
        known = row.activity_at or row.ready_at or row.created_at
        used_at, reason = judge_usage(known, usage, self._patience, utc_now())
        if used_at > known:
            await note_activity(self._store, row.id, used_at)
        if reason is None:
            return
        ending = replace(ending, reason=reason)
        if await end_session(self._store, ending, unless_used_after=used_at):
            log.info("session_ended", session=row.id, was=ending.was, now=ending.state, reason=ending.reason)
            await self._remove(row.id)
