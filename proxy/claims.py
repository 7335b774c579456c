"""Carries out what a click leads to, in the store.

A standby is claimed in one transaction, so that two clicks never get one session. Which of the things to do is
`proxy.launch`'s decision; what is wanted here, builders and engines make so.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from binder.lifecycle import BuildState, SessionState
from binder.names import new_session_id, new_token
from binder.store import Store
from binder.store.queries import LIVE_SESSIONS, advance_session, has_lost_its_image, newest_build, want_build
from binder.store.tables import Build, Repository, Session
from proxy.commits import Commit
from proxy.launch import (
    BuildFailed,
    Busy,
    ClaimStandby,
    Decision,
    FailedStart,
    Full,
    LaunchFacts,
    QueueBuild,
    StartFailed,
    StartSession,
    Wait,
    decide,
)
from proxy.waiting import Turn


@dataclass(frozen=True)
class Quota:
    """How many sessions there may be at a time, and how many of one repository visitors may have open."""

    sessions_at_most: int
    per_repository: int


@dataclass(frozen=True)
class Launched:
    """How a click ended: with an open session, or with why there is none yet.

    `waited_since`: when the visitor came to the queue, None where they had no place in it.
    """

    build: Build
    outcome: Session | Wait | BuildFailed | StartFailed | Busy | Full
    waited_since: datetime | None = None


@dataclass(frozen=True)
class Launcher:
    """Who clicked: `start` counts what they start, and raises TooManyError where that is one too many.

    Whoever has no `turn` waits behind nobody.
    """

    visitor_id: int | None
    start: Callable[[], None]
    turn: Turn | None = None


async def launch(store: Store, commit: Commit, launcher: Launcher, quota: Quota, now: datetime) -> Launched:
    """Do the one next thing for a commit, and return how far it is.

    Raises: StoreUnavailableError; TooManyError, where the launcher has started as much as they may.
    """
    launched = await _launch(store, commit, launcher, quota, now)
    image, turn = image_of(launched.build), launcher.turn
    if turn and image:
        if isinstance(launched.outcome, Wait | Busy):
            turn.queue.wait(turn.ticket, image, now, is_served=isinstance(launched.outcome, Wait))
        else:
            return replace(launched, waited_since=turn.queue.leave(turn.ticket, image))
    return launched


async def _launch(store: Store, commit: Commit, launcher: Launcher, quota: Quota, now: datetime) -> Launched:
    async with store.read() as session:  # those who only wait need no write lock, and wake nobody
        facts = _with_turn(await launch_facts(session, commit, quota=quota), launcher.turn, now)
        decision = decide(facts, now)
    if facts.build and isinstance(decision, Wait | BuildFailed | StartFailed | Busy | Full):
        if facts.build.for_jobs and isinstance(decision, Wait):
            await _want_as_well(store, facts.build.id)
        return Launched(facts.build, decision)
    launcher.start()
    async with store.write() as session:
        # Clicks on one repository take turns: what one has wanted, the next one waits for. SQLite's all do.
        await session.execute(select(Repository.id).where(Repository.id == commit.repository.id).with_for_update())
        facts = _with_turn(await launch_facts(session, commit, quota=quota, to_claim=True), launcher.turn, now)
        return await _act(session, commit, facts.build, decide(facts, now), launcher, now)


async def _want_as_well(store: Store, build_id: int) -> None:
    """Have a build go on for a visitor who waits for it, if the jobs that it was queued for give it up."""
    async with store.write(tells=False) as session:
        await session.execute(update(Build).where(Build.id == build_id).values(for_jobs=False))


def _with_turn(facts: LaunchFacts, turn: Turn | None, now: datetime) -> LaunchFacts:
    image = image_of(facts.build) if facts.build else None
    if turn is None or image is None:
        return facts
    return replace(facts, ahead=turn.queue.ahead_of(turn.ticket, image, now))


async def _act(
    session: AsyncSession, commit: Commit, build: Build | None, decision: Decision, launcher: Launcher, now: datetime
) -> Launched:
    if build is None or isinstance(decision, QueueBuild):
        again = isinstance(decision, QueueBuild) and decision.again
        # A click is no approval: what may be a fork's is built as a fork's, for whoever it was that named its sha.
        build = await want_build(
            session, repository_id=commit.repository.id, sha=commit.sha, again=again, untrusted=commit.untrusted
        )
        return Launched(build, Wait())
    match decision:
        case ClaimStandby(session_id):
            claimed = await session.get_one(Session, session_id)
            claimed.visitor_id = launcher.visitor_id
            advance_session(claimed, SessionState.OPEN, now)
            return Launched(build, claimed)
        case StartSession():
            session.add(_wanted_session(build))
            return Launched(build, Wait())
        case _:
            return Launched(build, decision)


def image_of(build: Build) -> str | None:
    """Return the image that a build made, or None where there is none yet."""
    image = (build.result or {}).get("image")
    return str(image) if image else None


def _wanted_session(build: Build) -> Session:
    return Session(
        id=new_session_id(),
        token=new_token(),
        repository_id=build.repository_id,
        build_id=build.id,
        image=image_of(build),
    )


async def launch_facts(session: AsyncSession, commit: Commit, *, quota: Quota, to_claim: bool = False) -> LaunchFacts:
    """Return what the store holds about a commit; `to_claim`, in a transaction that writes, locks the standby."""
    # What was built for a fork's preview opens by its sha; a branch that has the commit gets a build of its own.
    build = await newest_build(session, repository_id=commit.repository.id, sha=commit.sha, untrusted=commit.untrusted)
    if build is None or build.state is not BuildState.SUCCEEDED:
        return LaunchFacts(build)
    if has_lost_its_image(build):
        return LaunchFacts(None)
    there = await supply(session, build)
    return LaunchFacts(
        build,
        standby=await _standby(session, build, to_claim=to_claim) if there.ready else None,
        standbys=there.ready,
        coming=there.coming,
        failed_start=await _failed_start(session, build) if not there.ready else None,
        live_sessions=there.live,
        sessions_at_most=quota.sessions_at_most,
        open_of_repository=there.open_of_repository,
        per_repository=quota.per_repository,
    )


async def _standby(session: AsyncSession, build: Build, *, to_claim: bool) -> str | None:
    ready = select(Session.id).where(*_of_image(build), Session.state == SessionState.STANDBY)
    oldest = ready.order_by(Session.ready_at, Session.id).limit(1)
    if to_claim:
        # PostgreSQL has concurrent writers: each takes a row that no other has. SQLite has one, and ignores this.
        oldest = oldest.with_for_update(skip_locked=True)
    return (await session.scalars(oldest)).first()


class Supply(NamedTuple):
    """Sessions of the build's image that are free, and that are being started; live ones of all; and open ones of the
    build's repository, or of its forks' commits where it is of one.
    """

    ready: int
    coming: int
    live: int
    open_of_repository: int


async def supply(session: AsyncSession, build: Build) -> Supply:
    """Count in one question: each way to the store and back takes longer than the counting."""
    # Counted as rows, and not by a column: so an index alone has the answer.
    sessions = select(func.count()).select_from(Session)
    of_image = sessions.where(*_of_image(build))
    live = sessions.where(Session.state.in_(LIVE_SESSIONS))
    opened = sessions.where(Session.state == SessionState.OPEN, Session.repository_id == build.repository_id)
    if build.untrusted:
        opened = opened.join(Build, Build.id == Session.build_id).where(Build.untrusted)
    numbers = (
        of_image.where(Session.state == SessionState.STANDBY),
        # One that an operator deployed is coming, but for nobody else.
        of_image.where(Session.state.in_((SessionState.WANTED, SessionState.STARTING)), Session.deployed.is_(None)),
        live,
        opened,
    )
    return Supply(*(await session.execute(select(*(one.scalar_subquery() for one in numbers)))).one())


async def _failed_start(session: AsyncSession, build: Build) -> FailedStart | None:
    newest = (
        select(Session)
        .where(*_of_image(build), Session.deployed.is_(None))
        .order_by(Session.created_at.desc())
        .limit(1)
    )
    row = (await session.scalars(newest)).first()
    if row is None or row.state is not SessionState.FAILED or row.ready_at or row.ended_at is None:
        return None
    return FailedStart(row.reason or "It did not come up.", row.ended_at)


def _of_image(build: Build) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    # The same image of another repository would do as well, but a session leads back to its own repository's page.
    return (Session.image == image_of(build), Session.repository_id == build.repository_id)
