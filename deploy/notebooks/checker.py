"""The loop of notebooks that are wanted to run: takes one of each build, has it run in a session of its own, and tells.

A session is started for each notebook and ended after it, and nobody else is ever given one: so what a notebook leaves
behind, in files or databases, is met by no visitor and by no other notebook, and what passed would pass for a visitor
who opens it first. An end is kept for all that it depends on (`key_of`): the image, the commit, the modules, and how it
was run. Only good ends are: whoever asks again after a bad one wants to see it run again.

What the repository is at fault for ends the notebook. What the world is, such as a session that was lost, has it run
again, a few times. Whoever dies meanwhile leaves a row whose lease ends, and a session that the pool removes.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Protocol

from binder.errors import BinderError, OperatorFault, RepositoryFault, WorldFault
from binder.log import logger
from binder.names import new_session_id, new_token
from binder.notebook_checks import settings_from
from binder.settings import Settings
from binder.store import Store
from binder.store.build_logs import StoredLog
from binder.store.notebook_runs import (
    claim_run,
    finish_run,
    note_session,
    passed_before,
    renew_run,
    reuse_run,
    seconds_of_runs,
    stop_runs,
    want_run_again,
)
from binder.store.tables import Build, NotebookRun, utc_now
from deploy.engine import Engine, SessionSpec
from deploy.jupyter import Client
from deploy.leases import leased
from deploy.notebooks.notebook import read_notebook
from deploy.notebooks.running import CellFault, Run
from deploy.probe import fault_at_start, server_of, wait_until_up
from deploy.records import asked_of
from deploy.specs import spec_of

log = logger(__name__)

_LEASE_SECONDS = 30.0
_LOOK_SECONDS = 3.0
_PAUSES_SECONDS = (2.0, 10.0)
_LOST = "The session in which the notebook ran was lost."
_KEY_VERSION = 1


class Tell(Protocol):
    """Goes on with the log of a build."""

    async def __call__(self, heading: str, lines: str = "") -> None:
        """Write a heading, and lines below it, each of which begins with a line's end."""


class Committed(Protocol):
    """Knows what is committed."""

    async def read(self, build: Build, path: str) -> bytes:
        """Return a file of a build's commit.

        Raises: BinderError.
        """


class Checker:
    """Has notebooks run on one engine, `at_once` at a time.

    `host_of` says where a component with pods of its own is reached, by the session's id and the component's name;
    None: there are no such pods.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        settings: Settings,
        committed: Committed,
        *,
        at_once: int,
        host_of: Callable[[str, str], str] | None = None,
    ) -> None:
        self._store = store
        self._engine = engine
        self._settings = settings
        self._committed = committed
        self._at_once = at_once
        self._host_of = host_of
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def step(self) -> bool:
        """Stop what nobody wants any more, begin what waits, as far as there are places; tell whether any was begun."""
        for run_id in await stop_runs(self._store):
            if task := self._tasks.get(run_id):
                task.cancel()
        begun = False
        while len(self._tasks) < self._at_once:
            run = await claim_run(self._store, lease_seconds=_LEASE_SECONDS)
            if run is None:
                break
            self._begin(run.id, self._check(run))
            begun = True
        return begun

    async def close(self) -> None:
        """Give up what is being done: the sessions are ended, and whoever comes next runs the notebooks again."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _begin(self, run_id: int, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=f"notebook-{run_id}")
        self._tasks[run_id] = task

        def forget(ended: asyncio.Task[None]) -> None:
            self._tasks.pop(run_id, None)
            if not ended.cancelled() and (error := ended.exception()):
                log.error("notebook_left", run=run_id, exc_info=error)  # its row is free once its lease is over
            self._store.changed.give()

        task.add_done_callback(forget)

    async def _check(self, run: NotebookRun) -> None:
        async with self._store.read() as session:
            build = await session.get_one(Build, run.build_id)
        bound = log.bind(build=build.id, notebook=run.path, commit=build.sha)
        tell = partial(self._tell, build.id)
        async with self._lease(run.id):
            try:
                await self._run(run, build, tell)
            except RepositoryFault as error:
                bound.warning("notebook_failed", reason=error.message)
                await self._fail(run, tell, CellFault(error.message, error.line))
            except BinderError as error:
                bound.warning("notebook_not_run", party=error.party, reason=error.message, attempt=run.attempts)
                await self._give_up(run, tell, error)
            except Exception:  # noqa: BLE001 - whatever it is, the commit must not stay pending
                bound.exception("notebook_broke")
                fault = OperatorFault("Something went wrong in this service while it ran the notebook.")
                await self._fail(run, tell, CellFault(fault.message), party=fault.party)

    async def _run(self, run: NotebookRun, build: Build, tell: Tell) -> None:
        """Run a notebook to its end, and write that down.

        Raises: BinderError, where it has not come to one.
        """
        key = key_of(run, build)
        if earlier := await passed_before(self._store, key):
            await tell(f"Notebook {run.path} ran in this image before, and nothing changed")
            await reuse_run(self._store, run.id, key, earlier)
            return
        left = self._settings.check_timeout_seconds - await seconds_of_runs(self._store, build.id)
        if left <= 0:
            most = f"{self._settings.check_timeout_seconds / 60:g} min"
            raise RepositoryFault(f"The notebooks before it took the {most} that all have together here.")
        data = await self._committed.read(build, run.path)
        notebook = await asyncio.to_thread(read_notebook, run.path, data)
        settings = settings_from(run.settings)
        running = Run(notebook, run.path, settings)
        await tell(f"Running the notebook {run.path}")
        fault = await self._in_session(run, build, running, timeout_seconds=min(settings.timeout_seconds, left))
        executed = await asyncio.to_thread(running.executed)
        if fault:
            await self._fail(run, tell, fault, seconds=running.seconds, executed=executed)
            return
        await tell(f"The notebook {run.path} ran in {running.seconds:.1f} s")
        await finish_run(self._store, run.id, key=key, seconds=running.seconds, executed=executed)

    async def _in_session(
        self, run: NotebookRun, build: Build, running: Run, *, timeout_seconds: float
    ) -> CellFault | None:
        """Start a session, have the notebook run in it, and end it.

        Raises: BinderError, where there is no session, or it was lost.
        """
        asked, modules = await asked_of(self._store, build.id)
        session_id, token = new_session_id(), new_token()
        host_of = partial(self._host_of, session_id) if self._host_of else None
        image = str((build.result or {}).get("image") or "")
        spec = spec_of(self._settings, asked, modules, session_id=session_id, image=image, token=token, host_of=host_of)
        if not await note_session(self._store, run.id, session_id):
            raise WorldFault("Another process has taken the notebook up.")
        try:
            target = await self._engine.start(spec)
            async with Client(server_of(session_id, target, token)) as client:
                await self._wait_until_up(spec, client)
                return await self._watched(running, client, spec, timeout_seconds)
        finally:
            await self._stop(session_id)

    async def _wait_until_up(self, spec: SessionSpec, client: Client) -> None:
        timeout_seconds = self._settings.start_timeout_seconds
        try:
            async with asyncio.timeout(timeout_seconds):
                await wait_until_up(self._engine, spec.id, client)
        except TimeoutError as error:
            sentence = f"The notebook server did not come up within {timeout_seconds:g} s."
            raise await fault_at_start(self._engine, spec, sentence) from error
        except RepositoryFault as error:
            raise await fault_at_start(self._engine, spec, error.message) from error

    async def _watched(
        self, running: Run, client: Client, spec: SessionSpec, timeout_seconds: float
    ) -> CellFault | None:
        """Run the notebook for as long as its session is there.

        Raises: WorldFault, where the session was lost.
        """
        work = asyncio.create_task(running.run(client, timeout_seconds=timeout_seconds))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=_LOOK_SECONDS)
                if not work.done() and (reason := await self._end_of(spec.id)):
                    return running.fault(reason)
            return work.result()
        except WorldFault:
            # The server has gone, or the way to it: the engine knows which.
            if reason := await self._end_of(spec.id):
                return running.fault(reason)
            raise
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _end_of(self, session_id: str) -> str | None:
        """Return how a session ended by itself, None where it goes on.

        Raises: WorldFault, where it was taken away.
        """
        found = (await self._engine.running()).get(session_id)
        if found is None or found.taken:
            raise WorldFault(_LOST if found is None else found.reason or _LOST)
        return None if found.alive else found.reason or "The notebook server ended."

    async def _stop(self, session_id: str) -> None:
        # Whoever is stopped while it cleans up still does so.
        stopping = asyncio.create_task(self._engine.stop(session_id))
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            with suppress(BinderError):
                await stopping
            raise
        except BinderError as error:
            # It is no session of anybody's any more, and the pool removes such.
            log.warning("check_session_left", session=session_id, reason=error.message)

    async def _give_up(self, run: NotebookRun, tell: Tell, error: BinderError) -> None:
        """Have a notebook run again, where that may help, and it was not tried too often."""
        if isinstance(error, WorldFault) and run.attempts <= len(_PAUSES_SECONDS):
            pause = _PAUSES_SECONDS[run.attempts - 1]
            await tell(f"{error.message} The notebook {run.path} runs again in {pause:g} s")
            await want_run_again(self._store, run.id, pause_seconds=pause)
            return
        await self._fail(run, tell, CellFault(error.message), party=error.party)

    async def _fail(
        self,
        run: NotebookRun,
        tell: Tell,
        fault: CellFault,
        *,
        party: str = "repository",
        seconds: float | None = None,
        executed: bytes | None = None,
    ) -> None:
        lines = "".join(f"\n{line}" for line in fault.traceback.split("\n")) if fault.traceback else ""
        place = f"{run.path} line {fault.line}" if fault.line else run.path
        await tell(f"Failed: {place}: {fault.message}", lines)
        kept = {"party": party, "message": fault.message, "line": fault.line, "traceback": fault.traceback}
        await finish_run(self._store, run.id, seconds=seconds, fault=kept, executed=executed)

    async def _tell(self, build_id: int, heading: str, lines: str = "") -> None:
        """Go on with the log of a build; whoever looks at its page follows it."""
        text = f"==> {heading}  [{utc_now():%H:%M:%S}]{lines}\n"
        await StoredLog(self._store, build_id).append(text.encode(errors="replace"))

    def _lease(self, run_id: int) -> AbstractAsyncContextManager[None]:
        """Keep the notebook's row ours while the block runs."""
        renew = partial(renew_run, self._store, run_id, lease_seconds=_LEASE_SECONDS)
        return leased(renew, _LEASE_SECONDS)


def key_of(run: NotebookRun, build: Build) -> str:
    """Return a digest of all that the end of a notebook depends on.

    A notebook may read any file, so that the image counts whole, and with each commit there is another one. It counts
    by its digest: what a name leads to may change. The commit counts for the notebook, which is read from there.
    """
    result = build.result or {}
    depends = [
        _KEY_VERSION,
        build.repository_id,
        build.untrusted,
        build.sha,
        result.get("image"),
        result.get("digest"),
        result.get("modules"),
        result.get("resources"),
        run.path,
        run.settings,
    ]
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
