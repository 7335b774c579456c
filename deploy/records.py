"""What the keeper reads from the store, and the moves that it makes there.

Each move looks again at its row in its own transaction, and leaves one alone that has moved on: a visitor may have
claimed it, a newer push superseded it.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, false, func, not_, or_, select, union, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from binder.errors import BinderError, RepositoryFault
from binder.lifecycle import BuildState, SessionState, step
from binder.names import new_session_id, new_token
from binder.session_resources import Resources
from binder.store import Store
from binder.store.queries import LIVE_SESSIONS, advance_build, advance_session, fail_build
from binder.store.tables import Build, Preview, Repository, Session, utc_now
from deploy.engine import Running, ServiceState
from deploy.facts import BuildFact, Ending, Patience, PoolFacts, PreviewFact, SessionFact
from deploy.service_words import kept_after
from modules.bound import Bound, from_json, images_of

# Failures before that are no reason to wait any more.
_FAILURES_COUNT_FOR = timedelta(hours=1)
# What was opened before that says little of what is opened next.
_CLICKS_COUNT_FOR = timedelta(days=1)
_OF_A_MODULE_BYTES = 500 * 2**20
_LONGEST_REASON = 1000
_OF_A_MODULE_BYTES = 500 * 2**20


async def read_facts(
    store: Store,
    *,
    pods: Mapping[str, Running] | None,
    sessions_at_most: int,
    standbys_at_most: int,
    patience: Patience,
    now: datetime,
) -> PoolFacts:
    """Return what the store has at this moment, with what the engine was found to have.

    Columns, not rows, and nothing of what is over: it is asked at each change of the store.
    """
    async with store.read() as session:
        opened = dict(list(await session.execute(_opened_lately(now))))
        previews = (await session.execute(_LIVE_PREVIEWS)).all()
        builds = (await session.execute(_BUILDS)).all()
        sessions = (await session.execute(_sessions(now))).all()
    return PoolFacts(
        builds=[BuildFact(*row) for row in builds],
        previews=[PreviewFact(*row, opened=opened.get(row.id, 0)) for row in previews],
        sessions=[SessionFact(*row) for row in sessions],
        pods=pods,
        sessions_at_most=sessions_at_most,
        standbys_at_most=standbys_at_most,
        patience=patience,
    )


_LIVE_PREVIEWS = (
    select(
        Preview.id,
        Preview.repository_id,
        Preview.head_sha,
        Preview.kind == "pull",
        and_(Preview.kind == "branch", Preview.ref == func.coalesce(Repository.default_branch, "")),
    )
    .join(Repository, Repository.id == Preview.repository_id)
    .where(Preview.live)
)


def _opened_lately(now: datetime) -> Select[int | None, int]:
    """Return the question how many sessions of each preview were opened lately."""
    return (
        select(Build.preview_id, func.count())
        .join(Session, Session.build_id == Build.id)
        .where(Session.opened_at > now - _CLICKS_COUNT_FOR, Build.preview_id.is_not(None))
        .group_by(Build.preview_id)
    )


def _builds() -> Select[*tuple[Any, ...]]:
    """Return the question for the builds that are checked, those of sessions that nobody opened, and what each live
    preview can show: its newest, and its head's. Each part has an index of its own.
    """
    done = aliased(Build)
    newest = select(func.max(done.id)).where(done.state == BuildState.SUCCEEDED).correlate(Preview)
    same_commit = (done.repository_id == Preview.repository_id, done.sha == Preview.head_sha)
    of_interest = union(
        select(Build.id).where(Build.state == BuildState.CHECKING),
        select(Session.build_id).where(Session.state.in_(set(LIVE_SESSIONS) - {SessionState.OPEN})),
        select(newest.where(done.preview_id == Preview.id).scalar_subquery()).where(Preview.live),
        select(newest.where(*same_commit).scalar_subquery()).where(Preview.live),
    ).subquery()
    image = Build.result["image"].as_string()
    columns = (Build.id, Build.repository_id, Build.sha, Build.state, Build.preview_id, image, Build.awaits_check)
    return select(*columns).join(of_interest, of_interest.c[0] == Build.id)


_BUILDS = _builds()


def _sessions(now: datetime) -> Select[*tuple[Any, ...]]:
    """Return the question for the sessions that are live, and those that failed lately or for what is checked."""
    checked = Session.build_id.in_(select(Build.id).where(Build.state == BuildState.CHECKING))
    # What an operator deployed with parameters of their own says nothing of the image.
    failed = and_(Session.state == SessionState.FAILED, Session.deployed.is_(None))
    parts = (
        Session.state.in_(LIVE_SESSIONS),
        and_(failed, Session.ended_at > now - _FAILURES_COUNT_FOR),
        and_(failed, checked),
    )
    of_interest = union(*(select(Session.id).where(part) for part in parts)).subquery()
    return select(
        Session.id,
        Session.repository_id,
        Session.build_id,
        Session.image,
        Session.state,
        Session.created_at,
        Session.ready_at,
        Session.activity_at,
        Session.opened_at,
        Session.ended_at,
        Session.reason,
        func.coalesce(Session.lease_until >= now, false()),
    ).join(of_interest, of_interest.c[0] == Session.id)


class Waiting(NamedTuple):
    """Sessions that nobody starts yet, the longest waiting first; and how many others are live."""

    ids: list[str]
    running: int


async def read_waiting(store: Store, now: datetime, *, at_most: int) -> Waiting:
    """Return what waits to be started, `at_most` of it: few rows of an index, however many sessions there are."""
    is_waiting = _is_waiting(now)
    others = select(func.count()).where(Session.state.in_(LIVE_SESSIONS), not_(is_waiting))
    # Where nothing waits, no database counts the others.
    waiting = select(Session.id, others.scalar_subquery()).where(is_waiting)
    async with store.read() as session:
        rows = (await session.execute(waiting.order_by(Session.created_at, Session.id).limit(at_most))).all()
    return Waiting([row[0] for row in rows], rows[0][1] if rows else 0)


def _is_waiting(now: datetime) -> ColumnElement[bool]:
    is_free = or_(Session.lease_until.is_(None), Session.lease_until < now)
    return and_(Session.state == SessionState.WANTED, is_free)


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
    state = step(SessionState.WANTED, SessionState.STARTING)
    async with store.write() as session:
        now = await _now(session)
        held = {"lease_owner": store.owner, "lease_until": now + timedelta(seconds=lease_seconds)}
        # One statement: it is asked at each launch.
        taken = (
            update(Session).where(Session.id == session_id, _is_waiting(now)).values(state=state, reason=None, **held)
        )
        return (await session.scalars(taken.returning(Session))).one_or_none()


async def renew_lease(store: Store, session_id: str, *, lease_seconds: float) -> None:
    """Hold on to a session that we are starting."""
    mine = (Session.id == session_id, Session.lease_owner == store.owner)
    async with store.write() as session:
        until = await _now(session) + timedelta(seconds=lease_seconds)
        await session.execute(update(Session).where(*mine).values(lease_until=until))


async def mark_ready(store: Store, session_id: str, target: str, services: Mapping[str, Any] | None = None) -> bool:
    """Make a session that we started a standby, whose services are at that; False, if it is not ours any more.

    One that was deployed is open at once: nobody else is to get it.
    """
    state = step(SessionState.STARTING, SessionState.STANDBY)
    ready: dict[str, Any] = {
        "target": target,
        "ready_at": utc_now(),
        "reason": None,
        "lease_owner": None,
        "lease_until": None,
    }
    ours = (Session.id == session_id, Session.state == SessionState.STARTING, Session.lease_owner == store.owner)
    if services is not None:
        ready["services"] = services
    made = update(Session).where(*ours).values(state=state, **ready)
    async with store.write() as session:
        found = (await session.execute(made.returning(Session.id, Session.deployed))).first()
        if found is not None and found.deployed is not None:
            advance_session(await session.get_one(Session, session_id), SessionState.OPEN, utc_now())
        return found is not None


async def mark_failed(store: Store, session_id: str, error: BinderError) -> None:
    """End a session that we could not start, and the build that it should have proven."""
    async with store.write() as session:
        row = await _locked(session, session_id)
        if not _is_being_started(row, store):
            return
        advance_session(row, SessionState.FAILED, utc_now(), reason=error.message[:_LONGEST_REASON])
        for build in await session.scalars(_being_checked([row.build_id])):
            fail_build(build, error, utc_now())


async def is_abandoned(store: Store, session_id: str) -> bool:
    """Whether nobody is starting a session any more that was being started."""
    return _is_abandoned(await session_of(store, session_id))


async def want_again(store: Store, session_id: str) -> None:
    """Want a session again that nobody is starting any more."""
    async with store.write() as session:
        row = await _locked(session, session_id)
        if _is_abandoned(row):
            advance_session(row, SessionState.WANTED, utc_now())


def _is_abandoned(row: Session) -> bool:
    return row.state is SessionState.STARTING and (row.lease_until is None or row.lease_until < utc_now())


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


async def _now(session: AsyncSession) -> datetime:
    """Return the time at which a transaction begins: where much happens, it may have waited for that for long."""
    await session.connection()
    return utc_now()


async def _locked(session: AsyncSession, session_id: str) -> Session:
    return await session.get_one(Session, session_id, with_for_update=True)


def _is_being_started(row: Session, store: Store) -> bool:
    return row.state is SessionState.STARTING and row.lease_owner == store.owner


async def asked_of(store: Store, build_id: int) -> tuple[Resources, tuple[Bound, ...]]:
    """Return what the repository of a build asks for for its sessions, and the modules that they have."""
    async with store.read() as session:
        result = await session.scalar(select(Build.result).where(Build.id == build_id)) or {}
    return Resources(**result.get("resources", {})), from_json(result.get("modules"))


async def note_services(store: Store, session_id: str, seen: Mapping[str, ServiceState]) -> bool:
    """Keep what the services of a session are at now; False, if it is not ready yet, or not there any more."""
    async with store.read() as session:
        row = await session.get(Session, session_id)
    if row is None or row.services is None:
        return False
    if kept_after(row.services, seen) != row.services:
        async with store.write() as session:
            row = await _locked(session, session_id)
            row.services = kept_after(row.services or {}, seen)
    return True


async def layers_of(store: Store, build_ids: Collection[int]) -> dict[int, dict[str, dict[str, int]]]:
    """Return the images that sessions of builds need, their own first: id → image → its layers: key → bytes.

    Where a layer's size is not known it is 0; a module's image, whose layers are not known, is one large one.
    """
    async with store.read() as session:
        rows = await session.execute(select(Build.id, Build.result).where(Build.id.in_(build_ids)))
        found = {build_id: result or {} for build_id, result in rows}
    return {
        build_id: {
            str(result.get("image") or ""): {
                layer["key"]: int(layer.get("bytes") or 0) for layer in result.get("layers", ())
            },
            **{image: {image: _OF_A_MODULE_BYTES} for image in sorted(images_of(result.get("modules")))},
        }
        for build_id, result in found.items()
    }


async def is_running(store: Store, session_id: str) -> bool:
    """Whether a session is meant to be running."""
    return (await session_of(store, session_id)).state in {SessionState.STANDBY, SessionState.OPEN}


async def session_of(store: Store, session_id: str) -> Session:
    """Return a session as it is now."""
    async with store.read() as session:
        return await session.get_one(Session, session_id)
