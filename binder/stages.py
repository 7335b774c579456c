"""Measures what rows say of how long things took, for Prometheus: a loop of the one controller that works.

It looks at rows that have come to their end since it last looked, and so needs nothing of those who brought them there.
What ended while no controller was at work is not measured.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.figures import PHASES, Figures
from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.store import Store
from binder.store.queries import ACTIVE_BUILDS
from binder.store.tables import Build, Delivery, NotebookRun, Session, utc_now

_EVERY_SECONDS: Final = 5.0
# A row is seen once it is committed, some time after the moment that is written in it.
_SETTLED: Final = timedelta(seconds=5)
_AT_ONCE: Final = 500
_MOST: Final = 20_000

_ENDED: Final = (SessionState.ENDED, SessionState.FAILED)


class Stages:
    """Looks every few seconds."""

    def __init__(self, store: Store, figures: Figures) -> None:
        self._store = store
        self._figures = figures
        self._due_at = 0.0
        self._since: datetime | None = None
        self._deliveries = Unfinished()
        self._builds = Unfinished()

    async def step(self) -> bool:
        """Measure what has ended since the last look; there is never more to do at once."""
        if time.monotonic() < self._due_at:
            return False
        await self.look(utc_now() - _SETTLED)
        self._due_at = time.monotonic() + _EVERY_SECONDS
        return False

    async def look(self, until: datetime) -> None:
        """Measure what has ended since the last look; of sessions and notebooks, what happened before `until`.

        Raises: StoreUnavailableError.
        """
        async with self._store.read() as session:
            await self._look_at_deliveries(session)
            await self._look_at_builds(session)
            if self._since is not None:
                await self._look_at_sessions(session, self._since, until)
                await self._look_at_notebooks(session, self._since, until)
        self._since = until

    async def _look_at_deliveries(self, session: AsyncSession) -> None:
        waiting = select(Delivery.id).where(Delivery.state == DeliveryState.STORED)
        rows = select(Delivery.id, Delivery.state, Delivery.received_at, Delivery.acted_at)
        for _, state, received_at, acted_at in await self._deliveries.ended(session, Delivery, waiting, rows):
            if acted_at:
                seconds = _between(received_at, acted_at)
                self._figures.measure("binder_delivery_act_duration_seconds", seconds, state=state.value)

    async def _look_at_builds(self, session: AsyncSession) -> None:
        at_work = select(Build.id).where(Build.state.in_(ACTIVE_BUILDS))
        checked_from = select(func.min(Session.created_at)).where(Session.build_id == Build.id).scalar_subquery()
        rows = select(
            Build.id,
            Build.state,
            Build.queued_at,
            Build.started_at,
            Build.finished_at,
            Build.result["seconds"],
            checked_from,
        )
        for _, state, queued_at, started_at, finished_at, seconds, began in await self._builds.ended(
            session, Build, at_work, rows
        ):
            if finished_at is None:
                continue
            self._figures.measure(
                "binder_commit_duration_seconds", _between(queued_at, finished_at), outcome=state.value
            )
            if started_at:
                self._figures.measure("binder_build_wait_duration_seconds", _between(queued_at, started_at))
            if began and state in {BuildState.SUCCEEDED, BuildState.FAILED}:
                self._figures.measure("binder_build_check_duration_seconds", _between(began, finished_at))
            for phase, took in (seconds or {}).items():
                known = phase if phase in PHASES else "other"
                self._figures.measure("binder_build_phase_duration_seconds", float(took), phase=known)

    async def _look_at_sessions(self, session: AsyncSession, since: datetime, until: datetime) -> None:
        ended = (Session.state.in_(_ENDED), Session.ended_at > since, Session.ended_at <= until)
        is_up = Session.state.in_((SessionState.STANDBY, SessionState.OPEN))
        ready = (or_(is_up, Session.ended_at > since), Session.ready_at > since, Session.ready_at <= until)
        opened = (Session.opened_at > since, Session.opened_at <= until)
        columns: Any = select(Session.state, Session.created_at, Session.ready_at, Session.opened_at, Session.ended_at)
        start, measure = "binder_session_start_duration_seconds", self._figures.measure
        for _, created_at, ready_at, _, _ in await session.execute(columns.where(*ready)):
            measure(start, _between(created_at, ready_at), outcome="ready")
        for _, _, ready_at, opened_at, _ in await session.execute(columns.where(*opened)):
            if ready_at:
                measure("binder_session_standby_duration_seconds", _between(ready_at, opened_at))
        for state, created_at, ready_at, opened_at, ended_at in await session.execute(columns.where(*ended)):
            if opened_at:
                measure("binder_session_open_duration_seconds", _between(opened_at, ended_at))
            elif state is SessionState.FAILED and not ready_at:
                measure(start, _between(created_at, ended_at), outcome="failed")

    async def _look_at_notebooks(self, session: AsyncSession, since: datetime, until: datetime) -> None:
        runs = select(NotebookRun.outcome, NotebookRun.seconds).where(
            NotebookRun.finished_at > since, NotebookRun.finished_at <= until, NotebookRun.reused.is_(False)
        )
        for outcome, seconds in await session.execute(runs):
            if outcome and seconds is not None:
                self._figures.measure("binder_notebook_run_duration_seconds", seconds, outcome=outcome)


class Unfinished:
    """Rows of a table whose numbers count up: those that were not final at the last look, and the last number."""

    def __init__(self) -> None:
        self._ids: frozenset[int] = frozenset()
        self._last: int | None = None

    async def ended(
        self, session: AsyncSession, table: type[Delivery | Build], unfinished: Select[int], rows: Any
    ) -> Sequence[Any]:
        """Return the `rows` that have come to their end since the last look; none, where this is the first."""
        before, last = self._ids, self._last
        self._ids = frozenset(await session.scalars(unfinished.limit(_MOST)))
        self._last = await session.scalar(select(func.max(table.id))) or 0
        if last is None:
            return []
        found = [*await session.execute(rows.where(table.id > last).limit(_MOST))]
        for part in _parts(sorted(before - self._ids)):
            found += await session.execute(rows.where(table.id.in_(part)))
        return [row for row in found if row[0] not in self._ids]


def _parts(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE))


def _between(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()
