"""The loop of builds: takes what is queued, a few at a time, and sees each through to an image or a fault.

A build whose row was ended by somebody else (superseded, cancelled) is stopped at once. One whose worker died is
queued again: what it had made is found by its keys. Builds of forks' commits wait for all others, and are few.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from sqlalchemy import or_, select, update

from binder.errors import BinderError, OperatorFault, StoreUnavailableError, WorldFault
from binder.lifecycle import BuildState, is_final
from binder.log import logger
from binder.paths import Paths
from binder.store import Store
from binder.store.build_logs import StoredLog
from binder.store.notebook_runs import want_runs
from binder.store.queries import advance_build, fail_build
from binder.store.tables import Build, BuildBill, Repository, utc_now
from build.buildah import Buildah
from build.commits.git import Source
from build.limits import BuildLimits
from build.log import BuildLog
from build.pipeline import Built
from build.planner import Job
from build.quotas import IN_WORK, ForkQuota
from build.sbom import Package, sbom_of
from build.ways import BuiltLayer
from modules.bound import as_json

log = logger(__name__)

_LEASE_SECONDS = 30.0
_PAUSES_SECONDS = (1.0, 4.0)


class Maker(Protocol):
    """Makes images of commits."""

    async def build(self, job: Job) -> Built:
        """Turn a commit into an image.

        Raises: BinderError.
        """
        ...


class Sources(Protocol):
    """Knows where a repository is fetched from, and by which right."""

    async def source_of(self, repository: Repository) -> Source:
        """Return the source; its token, where there is one, is good for this repository only."""
        ...


def result_of(built: Built) -> dict[str, Any]:
    """Return what the build's row keeps of what it made."""
    return {
        "image": built.image,
        "digest": built.digest,
        "way": built.way,
        "why": built.why,
        **plan_of(built.layers),
        "saved": built.saved,
        "seconds": built.seconds,
        "packages": len(built.packages or ()),
        "changed": list(built.changed),
        "locks": list(built.locks),
        "resources": built.resources.as_json(),
        "modules": as_json(built.modules),
    }


def plan_of(layers: Sequence[BuiltLayer]) -> dict[str, Any]:
    """Return what is known of an image before it is made: its layers, and which of them are there."""
    kept = [
        {
            "kind": one.layer.kind,
            "key": one.layer.key,
            "reused": one.reused,
            "bytes": one.size_bytes,
            "seconds": one.seconds,
        }
        for one in layers
    ]
    return {"layers": kept}


def _sbom(build: Build, repository: Repository, built: Built, packages: Sequence[Sequence[str]]) -> bytes:
    return sbom_of(
        [Package(*one) for one in packages],  # type: ignore[arg-type]
        image=built.image,
        digest=built.digest,
        source=repository.clone_url,
        revision=build.sha,
        created=built.created,
        version=version("binder"),
    )


Count = Callable[[float, str | None, str | None], None]
"""Is told of a build that ended: its seconds, the way of its image or the party at fault; of a stopped one, neither."""


class BuildWorker:
    """Runs builds of one store, wherever their maker makes them."""

    def __init__(
        self,
        store: Store,
        maker: Maker,
        sources: Sources,
        buildah: Buildah,
        *,
        at_once: int,
        forks: ForkQuota,
        log_bytes: int,
        secrets: frozenset[str],
        limits: BuildLimits,
        count: Count,
    ) -> None:
        self._count = count
        self._store = store
        self._maker = maker
        self._sources = sources
        self._buildah = buildah
        self._paths: Paths = buildah.paths
        self._at_once = at_once
        self._forks = forks
        self._log_bytes = log_bytes
        self._secrets = secrets
        self._limits = limits
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopping: set[int] = set()

    async def step(self) -> bool:
        """Stop what was ended, queue again what lost its worker, and start what waits."""
        await self._stop_ended()
        await self._queue_orphans()
        if len(self._tasks) >= self._at_once:
            return False
        build = await self._forks.claim(self._store, lease_seconds=_LEASE_SECONDS)
        if build is None:
            return False
        task = asyncio.create_task(self._run(build), name=f"build-{build.id}")
        self._tasks[build.id] = task
        task.add_done_callback(lambda ended: self._forget(build.id, ended))
        return True

    async def close(self) -> None:
        """Stop all builds; their rows stay as they are, for whoever comes next."""
        for build_id in self._tasks:
            self._stop(build_id)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _forget(self, build_id: int, ended: asyncio.Task[None]) -> None:
        self._tasks.pop(build_id, None)
        self._stopping.discard(build_id)
        if not ended.cancelled() and (error := ended.exception()):
            # Not even its row could be written: it is queued again once its lease is over.
            log.error("build_left", build=build_id, exc_info=error)
        self._store.changed.give()

    async def _stop_ended(self) -> None:
        if not self._tasks:
            return
        async with self._store.read() as session:
            rows = await session.execute(select(Build.id, Build.state).where(Build.id.in_(self._tasks)))
            ended = [build_id for build_id, state in rows if is_final(state)]
        for build_id in ended:
            self._stop(build_id)

    def _stop(self, build_id: int) -> None:
        # Once: asked a second time, it would break off its cleaning up.
        if build_id in self._tasks and build_id not in self._stopping:
            self._stopping.add(build_id)
            self._tasks[build_id].cancel()

    async def _queue_orphans(self) -> None:
        free = or_(Build.lease_until.is_(None), Build.lease_until < utc_now())
        orphans = select(Build).where(Build.state.in_(IN_WORK), free, Build.id.not_in(self._tasks))
        async with self._store.read() as session:
            if (await session.scalars(orphans)).first() is None:
                return
        async with self._store.write() as session:
            for build in await session.scalars(orphans):
                log.warning("build_queued_again", build=build.id, was=build.state)
                advance_build(build, BuildState.QUEUED, utc_now())
                build.lease_owner = build.lease_until = None

    async def _run(self, build: Build) -> None:
        async with self._store.read() as session:
            repository = await session.get_one(Repository, build.repository_id)
        bound = log.bind(build=build.id, repository=repository.full_name, commit=build.sha)
        bound.info("build_started")
        began, is_made = monotonic(), False
        kept = StoredLog(self._store, build.id)
        notes = BuildLog(kept, secrets=self._secrets, most_bytes=self._log_bytes)
        try:
            limits = self._limits.within(str(build.id), untrusted=build.untrusted)
            async with self._lease(build.id), self._folder(build.id) as work, limits:
                async with self._forks.time(build):
                    built = await self._attempts(build, repository, notes, work)
                await notes.flush()  # before whoever follows it is told that this was all
                await self._finish(build, repository, built)
                is_made = True
                self._count(monotonic() - began, built.way, None)
            bound.info("build_made", way=built.way, seconds=built.seconds)
        except asyncio.CancelledError:
            if not is_made:  # else only the cleaning up was to be sooner
                notes.heading("The build was stopped")
                self._count(monotonic() - began, None, None)
            raise
        except BinderError as error:
            error.message = notes.masked(error.message)
            bound.warning("build_failed", party=error.party, reason=error.message)
            notes.heading(f"Failed: {error.message}")
            await notes.flush()
            self._count(monotonic() - began, None, error.party)
            await self._end(build.id, error)
        except Exception:  # noqa: BLE001 - whatever it is, the commit must not stay pending
            bound.exception("build_broke")
            fault = OperatorFault("Something went wrong in this service while it built; its log says more.")
            notes.heading(f"Failed: {fault.message}")
            await notes.flush()
            self._count(monotonic() - began, None, fault.party)
            await self._end(build.id, fault)
        finally:
            await notes.close()

    async def _attempts(self, build: Build, repository: Repository, notes: BuildLog, work: Path) -> Built:
        """Build, and try again where the world, not the repository, was at fault."""
        for attempt, pause in enumerate((*_PAUSES_SECONDS, None)):
            folder = work / str(attempt)
            folder.mkdir(mode=0o711)
            try:
                source = replace(await self._sources.source_of(repository), trusted=not build.untrusted)
                if source.token:
                    notes.add_secret(source.token)
                return await self._maker.build(
                    Job(
                        source,
                        build.sha,
                        notes,
                        folder,
                        lambda state: self._enter(build.id, state),
                        lambda layers: self._note_plan(build.id, layers),
                        name=str(build.id),
                    )
                )
            except WorldFault as error:
                if pause is None:
                    raise
                notes.heading(f"{error.message} Trying again in {pause:g} s")
                await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _enter(self, build_id: int, state: BuildState) -> None:
        async with self._store.write() as session:
            build = await session.get_one(Build, build_id)
            if not self._is_ours(build):
                self._stopping.add(build_id)
                raise asyncio.CancelledError
            # An attempt that is not the first passes through states that the build has behind it.
            if build.state not in IN_WORK[IN_WORK.index(state) :]:
                advance_build(build, state, utc_now())

    async def _note_plan(self, build_id: int, layers: Sequence[BuiltLayer]) -> None:
        async with self._store.write() as session:
            build = await session.get_one(Build, build_id)
            # What an attempt that is not the first finds there, is what the one before it made.
            if self._is_ours(build) and build.result is None:
                build.result = plan_of(layers)

    def _is_ours(self, build: Build) -> bool:
        """Whether the build still goes on, and by us: another may have taken it up while we were held up."""
        return not is_final(build.state) and build.lease_owner == self._store.owner

    async def _finish(self, build: Build, repository: Repository, built: Built) -> None:
        bill = None if built.packages is None else _sbom(build, repository, built, built.packages)
        async with self._store.write() as session:
            build = await session.get_one(Build, build.id)
            if not self._is_ours(build):
                return
            if bill is not None:
                await session.merge(BuildBill(build_id=build.id, data=bill))
            build.result = result_of(built)
            if built.check:
                want_runs(session, build, built.check.notebooks, built.check.settings)
                build.awaits_check = True
            advance_build(build, BuildState.CHECKING, utc_now())
            build.lease_owner = build.lease_until = None

    async def _end(self, build_id: int, fault: BinderError) -> None:
        async with self._store.write() as session:
            build = await session.get_one(Build, build_id)
            if self._is_ours(build):
                fail_build(build, fault, utc_now())

    @asynccontextmanager
    async def _lease(self, build_id: int) -> AsyncIterator[None]:
        """Keep the build's row ours while the block runs."""
        keeping = asyncio.create_task(self._renew(build_id))
        try:
            yield
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping

    async def _renew(self, build_id: int) -> None:
        while True:
            await asyncio.sleep(_LEASE_SECONDS / 3)
            until = utc_now() + timedelta(seconds=_LEASE_SECONDS)
            mine = (Build.id == build_id, Build.lease_owner == self._store.owner)
            try:
                async with self._store.write() as session:
                    await session.execute(update(Build).where(*mine).values(lease_until=until))
            except StoreUnavailableError:
                log.warning("lease_not_renewed", build=build_id)  # the next time comes before it is over

    @asynccontextmanager
    async def _folder(self, build_id: int) -> AsyncIterator[Path]:
        """Give an empty folder that is gone after the block."""
        folder = self._paths.work / f"{self._paths.instance}-{build_id}"
        await self._remove(folder)
        folder.mkdir(mode=0o711)
        try:
            yield folder
        finally:
            await self._remove(folder)

    async def _remove(self, folder: Path) -> None:
        # Whoever is stopped while it cleans up still does so.
        removing = asyncio.create_task(self._buildah.remove(folder))
        try:
            await asyncio.shield(removing)
        except asyncio.CancelledError:
            await removing
            raise
