"""Notebooks that are to run in the images of builds: who wants them, who runs them, and what becomes of the build.

A list of notebooks is wanted for one build by whoever has reason to (`want_runs`): a build whose binder.yml asks for it
when its image is made, which then waits for their end (`Build.awaits_check`), or anybody else at any later time, for a
build that may have succeeded long ago. Running them is `deploy.notebooks`'; how far they are is in the rows
(`runs_of_build`), and in short in `Build.result["notebooks"]`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from binder.errors import BinderError, OperatorFault, RepositoryFault, WorldFault
from binder.lifecycle import BuildState
from binder.notebook_checks import CheckSettings
from binder.store import Store
from binder.store.queries import fail_build
from binder.store.tables import Build, NotebookRun, utc_now

_RUNNABLE = (BuildState.CHECKING, BuildState.SUCCEEDED)
_GIVEN_UP = (BuildState.FAILED, BuildState.SUPERSEDED, BuildState.CANCELLED)
_FAULTS: dict[str, type[OperatorFault | WorldFault]] = {"operator": OperatorFault, "world": WorldFault}


def want_runs(
    session: AsyncSession, build: Build, notebooks: Iterable[str], settings: CheckSettings
) -> Sequence[NotebookRun]:
    """Have notebooks run in the image of a build, one after another."""
    rows = [NotebookRun(build_id=build.id, path=path, settings=settings.as_json()) for path in notebooks]
    session.add_all(rows)
    return rows


async def runs_of_build(session: AsyncSession, build_id: int) -> Sequence[NotebookRun]:
    """Return the notebooks of a build in their order."""
    return (
        await session.scalars(select(NotebookRun).where(NotebookRun.build_id == build_id).order_by(NotebookRun.id))
    ).all()


async def executed_of(session: AsyncSession, run_id: int) -> bytes | None:
    """Return a notebook as it ran, deflated; None where it did not, or not far enough."""
    return await session.scalar(select(NotebookRun.executed).where(NotebookRun.id == run_id))


async def last_passed(session: AsyncSession, repository_id: int, sha: str, path: str) -> NotebookRun | None:
    """Return the newest run of a notebook of a commit that came to a good end."""
    same = (Build.repository_id == repository_id, Build.sha == sha, NotebookRun.path == path)
    passed = select(NotebookRun).join(Build, Build.id == NotebookRun.build_id)
    found = passed.where(*same, NotebookRun.outcome == "passed").order_by(NotebookRun.id.desc()).limit(1)
    return (await session.scalars(found)).one_or_none()


async def sessions_of_runs(store: Store) -> frozenset[str]:
    """Return the sessions in which notebooks run now: nobody else's, and not the pool's."""
    held = (NotebookRun.finished_at.is_(None), NotebookRun.lease_until >= utc_now())
    async with store.read() as session:
        found = await session.scalars(select(NotebookRun.session_id).where(*held))
        return frozenset(filter(None, found))


async def claim_run(store: Store, *, lease_seconds: float) -> NotebookRun | None:
    """Take the notebook that waits the longest and hold it; None where none waits. Forks' wait for all others.

    Of one build, one runs at a time.
    """
    other = aliased(NotebookRun)
    now = utc_now()
    held = (other.finished_at.is_(None), other.lease_until >= now)
    beside = select(other.id).where(other.build_id == NotebookRun.build_id, *held).exists()
    waiting = (
        select(NotebookRun)
        .join(Build, Build.id == NotebookRun.build_id)
        .where(
            NotebookRun.finished_at.is_(None),
            or_(NotebookRun.lease_until.is_(None), NotebookRun.lease_until < now),
            or_(NotebookRun.not_before.is_(None), NotebookRun.not_before <= now),
            Build.state.in_(_RUNNABLE),
            ~beside,
        )
        .order_by(Build.untrusted, NotebookRun.id)
        .limit(1)
    )
    async with store.read() as session:
        if (await session.scalars(waiting)).first() is None:
            return None
    async with store.write() as session:
        row = (await session.scalars(waiting.with_for_update(of=NotebookRun))).first()
        if row is not None:
            row.lease_owner, row.lease_until = store.owner, now + timedelta(seconds=lease_seconds)
            row.started_at, row.attempts = row.started_at or now, row.attempts + 1
        return row


async def renew_run(store: Store, run_id: int, *, lease_seconds: float) -> None:
    """Hold on to a notebook that we run."""
    mine = (NotebookRun.id == run_id, NotebookRun.lease_owner == store.owner)
    until = utc_now() + timedelta(seconds=lease_seconds)
    async with store.write() as session:
        await session.execute(update(NotebookRun).where(*mine).values(lease_until=until))


async def note_session(store: Store, run_id: int, session_id: str) -> bool:
    """Write down the session in which a notebook is about to run; False, if it is not ours any more."""
    async with store.write() as session:
        row = await session.get_one(NotebookRun, run_id, with_for_update=True)
        if not _is_ours(row, store):
            return False
        row.session_id = session_id
        return True


async def want_run_again(store: Store, run_id: int, *, pause_seconds: float) -> None:
    """Have a notebook run once more after a pause: through no fault of its own it did not come to its end."""
    async with store.write() as session:
        row = await session.get_one(NotebookRun, run_id, with_for_update=True)
        if _is_ours(row, store):
            row.lease_owner = row.lease_until = None
            row.not_before = utc_now() + timedelta(seconds=pause_seconds)


async def passed_before(store: Store, key: str) -> int | None:
    """Return the id of an earlier run of the same key that came to a good end."""
    same = select(NotebookRun.id).where(NotebookRun.key == key, NotebookRun.outcome == "passed")
    async with store.read() as session:
        return (await session.scalars(same.order_by(NotebookRun.id.desc()).limit(1))).first()


async def seconds_of_runs(store: Store, build_id: int) -> float:
    """Return how long the notebooks of a build ran so far, together."""
    spent = select(func.sum(NotebookRun.seconds)).where(NotebookRun.build_id == build_id, ~NotebookRun.reused)
    async with store.read() as session:
        return await session.scalar(spent) or 0.0


async def reuse_run(store: Store, run_id: int, key: str, earlier_id: int) -> None:
    """End a notebook as an earlier run of it ended."""
    async with store.write() as session:
        earlier = await session.get_one(NotebookRun, earlier_id)
        executed = await executed_of(session, earlier_id)
        row = await session.get_one(NotebookRun, run_id, with_for_update=True)
        if _is_ours(row, store):
            row.key, row.reused, row.executed = key, True, executed
            _end(row, "passed", earlier.seconds, None)
            await _judge(session, row.build_id)


async def finish_run(
    store: Store,
    run_id: int,
    *,
    key: str | None = None,
    seconds: float | None = None,
    fault: dict[str, Any] | None = None,
    executed: bytes | None = None,
) -> None:
    """End a notebook, and with the last one of a build that waits for them its waiting; `fault`: see `NotebookRun`."""
    async with store.write() as session:
        row = await session.get_one(NotebookRun, run_id, with_for_update=True)
        if _is_ours(row, store):
            row.key, row.executed = key, executed
            _end(row, "failed" if fault else "passed", seconds, fault)
            await _judge(session, row.build_id)


async def stop_runs(store: Store) -> list[int]:
    """End the notebooks of builds that were given up, and return which they were."""
    given_up = (
        select(NotebookRun)
        .join(Build, Build.id == NotebookRun.build_id)
        .where(NotebookRun.finished_at.is_(None), Build.state.in_(_GIVEN_UP))
    )
    async with store.read() as session:
        if (await session.scalars(given_up)).first() is None:
            return []
    async with store.write() as session:
        rows = (await session.scalars(given_up)).all()
        for row in rows:
            _end(row, "stopped", None, None)
        return [row.id for row in rows]


def _is_ours(row: NotebookRun, store: Store) -> bool:
    return row.finished_at is None and row.lease_owner == store.owner


def _end(row: NotebookRun, outcome: str, seconds: float | None, fault: dict[str, Any] | None) -> None:
    row.outcome, row.seconds, row.fault, row.finished_at = outcome, seconds, fault, utc_now()
    row.lease_owner = row.lease_until = None


async def _judge(session: AsyncSession, build_id: int) -> None:
    """Tell a build how far its notebooks are; at their end it goes on, or has failed."""
    await session.flush()
    rows = await runs_of_build(session, build_id)
    build = await session.get_one(Build, build_id, with_for_update=True)
    build.result = {**(build.result or {}), "notebooks": [_summary(row) for row in rows]}
    if not build.awaits_check or build.state is not BuildState.CHECKING or any(row.outcome is None for row in rows):
        return
    build.awaits_check = False
    if failed := [row for row in rows if row.outcome == "failed"]:
        fail_build(build, _fault_of(failed), _now_of(rows))


def _now_of(rows: Sequence[NotebookRun]) -> datetime:
    return max(row.finished_at for row in rows if row.finished_at)


def _fault_of(failed: Sequence[NotebookRun]) -> BinderError:
    """Return what a build failed by: where several notebooks failed, what is the author's counts first."""
    first = min(failed, key=lambda row: (row.fault or {}).get("party") != "repository")
    fault = first.fault or {}
    more = f" ({len(failed)} notebooks failed)" if len(failed) > 1 else ""
    message = f"{fault.get('message') or 'It failed.'}{more}"
    kind = _FAULTS.get(fault.get("party", ""))
    return kind(message) if kind else RepositoryFault(message, file=first.path, line=fault.get("line"), step="notebook")


def _summary(row: NotebookRun) -> dict[str, Any]:
    fault = row.fault or {}
    told = {name: fault[name] for name in ("message", "line", "traceback") if fault.get(name)}
    return {"id": row.id, "path": row.path, "outcome": row.outcome, "seconds": row.seconds, **told}
