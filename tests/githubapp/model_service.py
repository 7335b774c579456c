"""The service in the stories of `test_model`: its loops step by step, a builder, deaths, and how it comes to rest."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import cycle
from typing import Any

from sqlalchemy import select, update

from binder.errors import BinderError, RepositoryFault
from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.store import Store
from binder.store.queries import ACTIVE_BUILDS, advance_build, fail_build, want_build
from binder.store.tables import Build, Delivery, Installation, Preview, Report, Repository, Session, utc_now
from githubapp.inbox import Inbox
from githubapp.previews import DeliveryWorker
from githubapp.redelivery import Redelivery
from githubapp.reporter import Reporter
from tests.githubapp.workshop import PLAN, Workshop

_NEXT = {
    BuildState.QUEUED: BuildState.FETCHING,
    BuildState.FETCHING: BuildState.BUILDING,
    BuildState.BUILDING: BuildState.PUSHING,
    BuildState.PUSHING: BuildState.CHECKING,
    BuildState.CHECKING: BuildState.SUCCEEDED,
}
_API = "/api/v3/"
_SHOWN = "/(statuses|comments|check-runs|deployments)"
_MOST_ROUNDS = 12
_HELD_WITHIN_SECONDS = 20.0
# More than any pause between two attempts at one delivery.
_BETWEEN_LOOKS = timedelta(hours=2, minutes=1)


@dataclass
class Service:
    """The loops, over a store of their own process: the door and the builder use the workshop's.

    `compares` says how it learns of what it was not told: by comparing heads, or by having GitHub deliver again.
    """

    workshop: Workshop
    compares: bool
    store: Store = field(init=False)
    ahead: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self._endings = cycle((self._release, self._expire))
        self._asked = cycle(("/repositories/", "/(branches|pulls)/", "/(commits|contents|files|collaborators)/?"))
        self._begin()

    def _begin(self) -> None:
        workshop = self.workshop
        self.store = Store(workshop.settings.store_url)
        workshop.worker = DeliveryWorker(self.store, workshop.client, workshop.settings)
        workshop.reporter = Reporter(self.store, workshop.client, workshop.settings)

    def now(self) -> datetime:
        """Return the time by which failed deliveries are due again."""
        return utc_now() + self.ahead

    # Its loops.

    async def act_once(self) -> None:
        await self.workshop.worker.step()

    async def act(self) -> None:
        await self.workshop.act()

    async def report_once(self) -> None:
        await self.workshop.reporter.step()

    async def report(self) -> None:
        await self.workshop.report()

    async def recover(self) -> None:
        """Find what was not told; comparing is left undone where GitHub fails, as the loops do."""
        if self.compares:
            await self.workshop.compare()
            return
        self.ahead += _BETWEEN_LOOKS
        intake = Inbox(self.store, self.workshop.settings).intake
        try:
            await Redelivery(self.workshop.client.about_app, intake).look()
        except BinderError:
            return  # as its loop does, which looks again later
        await self.workshop.sandbox.settled()
        await self.workshop.act()
        # What an event of the installation left to be compared soon is: of that, GitHub tells nothing itself.
        if any(row.compared_at is None for row in await self.workshop.rows(Installation)):
            await self.workshop.compare()

    # Its deaths.

    async def crash_acting(self) -> None:
        await self._crash(self.workshop.worker.step(), "GET", _API + next(self._asked))

    async def crash_reporting(self) -> None:
        await self._crash(self.workshop.reporter.step(), "POST", _SHOWN)

    async def _crash(self, step: Coroutine[Any, Any, bool], method: str, path: str) -> None:
        """Have the process die while GitHub answers, with the effect there, or after the step; another one begins."""
        gate = self.workshop.gate
        held = gate.hold(method, path)
        dying, reached = asyncio.create_task(step), asyncio.create_task(held.reached.wait())
        waited = {dying, reached}
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED, timeout=_HELD_WITHIN_SECONDS)
        assert done, "the step neither asked GitHub nor came to its end"
        for task in waited:
            task.cancel()
        await asyncio.gather(*waited, return_exceptions=True)
        gate.held.clear()
        held.released.set()
        dead = self.store
        await dead.close()
        self._begin()
        await next(self._endings)(dead.owner)

    async def _release(self, _: str) -> None:
        """Free what the dead held, as a service does that begins."""
        await self.store.release_leases(of_all=True)

    async def _expire(self, owner: str) -> None:
        """Let the leases of the dead run out, as where another host goes on."""
        async with self.workshop.store.write() as session:
            for kind in (Delivery, Report):
                held = update(kind).where(kind.lease_owner == owner)
                await session.execute(held.values(lease_until=utc_now() - timedelta(seconds=1)))

    # The builder, visitors, and what they have.

    async def build_on(self) -> None:
        await self._build_on(_advance)

    async def build_whole(self) -> None:
        """Build the oldest build to its end, with GitHub told on the way."""
        for number in range(len(_NEXT)):
            await self._build_on(_advance)
            if number == 1:
                await self.report_once()

    async def build_badly(self) -> None:
        fault = RepositoryFault("There is no such package.", file="requirements.txt", line=1)
        await self._build_on(lambda row: fail_build(row, fault, utc_now()))

    async def _build_on(self, move: Callable[[Build], None]) -> bool:
        async with self.workshop.store.write() as session:
            active = select(Build).where(Build.state.in_(ACTIVE_BUILDS)).order_by(Build.id).limit(1)
            build = (await session.scalars(active)).first()
            if build:
                move(build)
        return build is not None

    async def follow_link(self) -> None:
        """Have a visitor ask for the first commit that there was, which no preview may want any more."""
        async with self.workshop.store.write() as session:
            repository = (await session.scalars(select(Repository))).first()
            oldest = select(Build.sha).where(~Build.untrusted).order_by(Build.id).limit(1)
            sha = (await session.scalars(oldest)).first()
            if repository and repository.installation_id and not repository.private and sha:
                await want_build(session, repository_id=repository.id, sha=sha)

    async def serve(self) -> None:
        """Have all be built, and each live preview's image run: once for nobody yet, and once for somebody."""
        while await self._build_on(_advance):
            pass  # to the end of the last one
        heads = {row.head_sha for row in await self.workshop.rows_live()}
        served = {row.build_id for row in await self.workshop.rows(Session)}
        for build in await self.workshop.rows(Build):
            if build.state is BuildState.SUCCEEDED and build.sha in heads and build.id not in served:
                for state in (SessionState.STANDBY, SessionState.OPEN):
                    await self.workshop.add_session(build, state)

    # The end.

    async def settle(self) -> None:
        """Have the faults end, and everything run until nothing is left to do."""
        sandbox = self.workshop.sandbox
        await sandbox.clear_faults()
        await sandbox.settled()
        for _ in range(_MOST_ROUNDS):
            before = await self._traces()
            await self._let_time_pass()
            await self.workshop.act()
            await self.recover()
            await self.workshop.report()
            if before == await self._traces():
                return
        raise AssertionError("the service finds something to do for ever")

    async def _let_time_pass(self) -> None:
        """Have pauses end, and GitHub take as many writes again as it does in a minute."""
        await self.workshop.skip_pauses()
        self.workshop.reporter = Reporter(self.store, self.workshop.client, self.workshop.settings)

    async def finish_builds(self) -> None:
        """Build all that is to be built, with GitHub told of it on the way."""
        for build in [row for row in await self.workshop.rows(Build) if row.state in ACTIVE_BUILDS]:
            while await self._is_active(build.id):
                await self._build_on(_advance)
            await self.workshop.report()

    async def _is_active(self, build_id: int) -> bool:
        async with self.workshop.store.read() as session:
            return (await session.get_one(Build, build_id)).state in ACTIVE_BUILDS

    async def _traces(self) -> tuple[object, ...]:
        """Return what changes when something is done."""
        workshop = self.workshop
        deliveries = await workshop.rows(Delivery)
        previews = sorted((row.id, row.head_sha, row.live, row.held or "") for row in await workshop.rows(Preview))
        told = [one for one in workshop.gate.seen if "access_tokens" not in one]
        waiting = [row.id for row in deliveries if row.state is DeliveryState.STORED]
        owed = [row.id for row in await workshop.rows(Report) if row.owed]
        return len(told), len(deliveries), waiting, owed, previews, len(await workshop.rows(Build))


def _advance(row: Build) -> None:
    advance_build(row, _NEXT[row.state], utc_now())
    if row.state is BuildState.BUILDING:
        row.result = PLAN
