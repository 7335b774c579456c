"""What the keeper reads from the store, and the moves that it makes there.

Each move looks again at its row in its own transaction, and leaves one alone that has moved on: a visitor may have
claimed it, a newer push superseded it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from binder.errors import BinderError, RepositoryFault
from binder.lifecycle import BuildState, SessionState
from binder.names import new_session_id, new_token
from binder.store import Store
from binder.store.queries import LIVE_SESSIONS, advance_build, advance_session, fail_build
from binder.store.tables import Build, Preview, Session, utc_now
from deploy.engine import Running
from deploy.facts import BuildFact, Ending, PoolFacts, PreviewFact, SessionFact

# Failures before that are no reason to wait any more.
_FAILURES_COUNT_FOR = timedelta(hours=1)
_LONGEST_REASON = 1000


async def read_facts(
    store: Store, *, pods: Mapping[str, Running] | None, sessions_at_most: int, idle_after: timedelta, now: datetime
) -> PoolFacts:
    """Return what the store has at this moment, with what the engine was found to have."""
    async with store.read() as session:
        previews = list(await session.scalars(select(Preview).where(Preview.live)))
        checked = list(await session.scalars(select(Build).where(Build.state == BuildState.CHECKING)))
        rows = list(await session.scalars(select(Session).where(_matters(checked, now))))
        builds = list(await session.scalars(select(Build).where(Build.id.in_(await _build_ids(session, rows)))))
    return PoolFacts(
        builds=[_build_fact(build) for build in {build.id: build for build in (*checked, *builds)}.values()],
        previews=[PreviewFact(one.id, one.repository_id, one.head_sha) for one in previews],
        sessions=[_session_fact(row, now) for row in rows],
        pods=pods,
        sessions_at_most=sessions_at_most,
        idle_after=idle_after,
    )


def _matters(checked: Iterable[Build], now: datetime) -> ColumnElement[bool]:
    counts = or_(Session.ended_at > now - _FAILURES_COUNT_FOR, Session.build_id.in_([build.id for build in checked]))
    return or_(Session.state.in_(LIVE_SESSIONS), and_(Session.state == SessionState.FAILED, counts))


async def _build_ids(session: AsyncSession, rows: Iterable[Session]) -> set[int]:
    """Return the builds of these sessions, and what each live preview can show: its newest, and its head's."""
    ready = Build.state == BuildState.SUCCEEDED
    own = select(func.max(Build.id)).join(Preview, Build.preview_id == Preview.id)
    at_head = select(func.max(Build.id)).join(
        Preview, and_(Build.repository_id == Preview.repository_id, Build.sha == Preview.head_sha)
    )
    found = {row.build_id for row in rows}
    for newest in (own, at_head):
        found |= set(await session.scalars(newest.where(Preview.live, ready).group_by(Preview.id)))
    return found


def _build_fact(build: Build) -> BuildFact:
    image = (build.result or {}).get("image")
    return BuildFact(build.id, build.repository_id, build.sha, build.state, build.preview_id, image)


def _session_fact(row: Session, now: datetime) -> SessionFact:
    return SessionFact(
        id=row.id,
        repository_id=row.repository_id,
        build_id=row.build_id,
        image=row.image,
        state=row.state,
        is_held=row.lease_until is not None and row.lease_until >= now,
        created_at=row.created_at,
        ready_at=row.ready_at,
        activity_at=row.activity_at,
        ended_at=row.ended_at,
        reason=row.reason,
    )


async def add_sessions(store: Store, builds: Iterable[BuildFact]) -> None:
    """Want one more session of each of these builds."""
    async with store.write() as session:
        for build in builds:
            row = Session(
                id=new_session_id(),
                token=new_token(),
                repository_id=build.repository_id,
                build_id=build.id,
                image=build.image,
            )
            session.add(row)


async def judge_builds(store: Store, succeed: Iterable[int], fail: Mapping[int, str]) -> None:
    """Move builds that are being checked to their end."""
    async with store.write() as session:
        for build in await session.scalars(_being_checked({*succeed, *fail})):
            if build.id in fail:
                fail_build(build, RepositoryFault(fail[build.id], step="start"), utc_now())
            else:
                advance_build(build, BuildState.SUCCEEDED, utc_now())


def _being_checked(build_ids: Iterable[int]) -> Select[Build]:
    return select(Build).where(Build.id.in_(set(build_ids)), Build.state == BuildState.CHECKING).with_for_update()


async def take_session(store: Store, session_id: str, *, lease_seconds: float) -> Session | None:
    """Take a session that is wanted, and return it; None, if somebody else did, or nobody wants it any more."""
    wanted = (Session.id == session_id, Session.state == SessionState.WANTED)
    row = await store.claim(Session, *wanted, now=utc_now(), lease_seconds=lease_seconds)
    if row is None:
        return None
    async with store.write() as session:
        row = await _locked(session, session_id)
        if row.state is not SessionState.WANTED or row.lease_owner != store.owner:
            return None
        advance_session(row, SessionState.STARTING, utc_now())
        return row


async def renew_lease(store: Store, session_id: str, *, lease_seconds: float) -> None:
    """Hold on to a session that we are starting."""
    mine = (Session.id == session_id, Session.lease_owner == store.owner)
    until = utc_now() + timedelta(seconds=lease_seconds)
    async with store.write() as session:
        await session.execute(update(Session).where(*mine).values(lease_until=until))


async def mark_ready(store: Store, session_id: str, target: str) -> bool:
    """Make a session that we started a standby; False, if it is not ours any more."""
    async with store.write() as session:
        row = await _locked(session, session_id)
        if not _is_being_started(row, store):
            return False
        row.target = target
        advance_session(row, SessionState.STANDBY, utc_now())
        return True


async def mark_failed(store: Store, session_id: str, error: BinderError) -> None:
    """End a session that we could not start, and the build that it should have proven."""
    async with store.write() as session:
        row = await _locked(session, session_id)
        if not _is_being_started(row, store):
            return
        advance_session(row, SessionState.FAILED, utc_now(), reason=error.message[:_LONGEST_REASON])
        for build in await session.scalars(_being_checked([row.build_id])):
            fail_build(build, error, utc_now())


async def want_again(store: Store, session_id: str) -> None:
    """Want a session again that nobody is starting any more."""
    async with store.write() as session:
        row = await _locked(session, session_id)
        if row.state is SessionState.STARTING and (row.lease_until is None or row.lease_until < utc_now()):
            advance_session(row, SessionState.WANTED, utc_now())


async def end_session(store: Store, ending: Ending, *, unless_used_after: datetime | None = None) -> bool:
    """End a session; False, if it has moved on, or was used meanwhile."""
    async with store.write() as session:
        row = await _locked(session, ending.session_id)
        used = unless_used_after and row.activity_at and row.activity_at > unless_used_after
        if row.state is not ending.was or used:
            return False
        advance_session(row, ending.state, utc_now(), reason=ending.reason[:_LONGEST_REASON])
        return True


async def note_activity(store: Store, session_id: str, at: datetime) -> None:
    """Remember that somebody used a session."""
    async with store.write() as session:
        row = await _locked(session, session_id)
        row.activity_at = max(at, row.activity_at or at)


async def _locked(session: AsyncSession, session_id: str) -> Session:
    return await session.get_one(Session, session_id, with_for_update=True)


def _is_being_started(row: Session, store: Store) -> bool:
    return row.state is SessionState.STARTING and row.lease_owner == store.owner


async def is_running(store: Store, session_id: str) -> bool:
    """Whether a session is meant to be running."""
    return (await session_of(store, session_id)).state in {SessionState.STANDBY, SessionState.OPEN}


async def session_of(store: Store, session_id: str) -> Session:
    """Return a session as it is now."""
    async with store.read() as session:
        return await session.get_one(Session, session_id)
