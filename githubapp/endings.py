"""Ends what is not wanted any more: builds, sessions, previews, all of a repository. In the caller's transaction.

Why it ends is decided by others. Rows only: builders and keepers see them and stop what runs.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.lifecycle import BuildState, SessionState
from binder.store.queries import ACTIVE_BUILDS, LIVE_SESSIONS, advance_build, advance_session
from binder.store.tables import Build, Preview, Repository, Session
from githubapp.decisions import Cause, note
from githubapp.owed import owe_end, owe_nothing, owe_reports
from githubapp.reports import Addresses, end_of

_UNOPENED = (SessionState.WANTED, SessionState.STARTING, SessionState.STANDBY)


async def cancel_builds(
    session: AsyncSession, where: Iterable[ColumnElement[bool]], message: str, now: datetime
) -> Sequence[Build]:
    """Cancel the unfinished ones of these builds, and return them."""
    wanted = select(Build).where(*where, Build.state.in_(ACTIVE_BUILDS))
    builds = (await session.scalars(wanted.with_for_update())).all()
    for build in builds:
        _end_build(build, BuildState.CANCELLED, message, now)
    await session.flush()
    return builds


async def end_sessions(
    session: AsyncSession, where: Iterable[ColumnElement[bool]], reason: str, now: datetime, *, open_ones: bool
) -> int:
    """End sessions of these builds, with `open_ones` those too that somebody is using, and return how many."""
    of_builds = Session.build_id.in_(select(Build.id).where(*where))
    states = LIVE_SESSIONS if open_ones else _UNOPENED
    rows = (await session.scalars(select(Session).where(of_builds, Session.state.in_(states)).with_for_update())).all()
    for row in rows:
        advance_session(row, SessionState.ENDED, now, reason=reason)
    await session.flush()
    return len(rows)


async def end_unwanted_builds(
    session: AsyncSession, repository: Repository, cause: Cause, now: datetime
) -> Sequence[Build]:
    """End the unfinished builds of previews whose commit is no longer the head of any, and return them."""
    of_previews = (Build.repository_id == repository.id, Build.preview_id.is_not(None))
    unwanted = select(Build).where(*of_previews, Build.state.in_(ACTIVE_BUILDS), Build.sha.not_in(_heads(repository)))
    builds = (await session.scalars(unwanted.with_for_update())).all()
    for build in builds:
        preview = await session.get_one(Preview, build.preview_id)
        message = end_of(preview)
        _end_build(build, BuildState.SUPERSEDED if preview.live else BuildState.CANCELLED, message, now)
        note(session, cause, preview, "cancel", message, sha=build.sha)
    await session.flush()
    return builds


async def end_unwanted_sessions(session: AsyncSession, repository: Repository, preview: Preview, now: datetime) -> None:
    """End the sessions of a preview that ended, as far as nobody opened them; whoever else needs one is given one.

    Its head may have been built for another preview, which ended before: a branch and its pull request share a commit.
    """
    at_head = and_(Build.repository_id == repository.id, Build.sha == preview.head_sha)
    of_preview = (or_(Build.preview_id == preview.id, at_head), Build.sha.not_in(_heads(repository)))
    await end_sessions(session, of_preview, "Its preview has ended.", now, open_ones=False)


async def end_repository(
    session: AsyncSession,
    repository: Repository,
    reason: str,
    addresses: Addresses,
    cause: Cause,
    now: datetime,
    *,
    taken: bool,
) -> None:
    """End all previews of a repository; `taken` says that nobody may see it any more, so that open sessions end too."""
    live = select(Preview).where(Preview.repository_id == repository.id, Preview.live)
    previews = (await session.scalars(live.with_for_update())).all()
    for preview in previews:
        preview.live, preview.held, preview.updated_at = False, reason, now
        note(session, cause, preview, "end", reason, sha=preview.head_sha)
    repository.access_epoch += 1
    await session.flush()
    of_repository = (Build.repository_id == repository.id,)
    cancelled = await cancel_builds(session, of_repository, f"Cancelled: {reason}", now)
    await end_sessions(session, of_repository, f"It ended: {reason}.", now, open_ones=taken)
    if repository.installation_id is None or repository.archived:
        await owe_nothing(session, repository, reason)
        return
    shas = (*(preview.head_sha for preview in previews), *(build.sha for build in cancelled))
    for sha in dict.fromkeys(shas):
        await owe_reports(session, repository, sha, addresses)
    for preview in previews:
        await owe_end(session, repository, preview, preview.head_sha)


def _heads(repository: Repository) -> "ColumnElement[str]":
    heads = select(Preview.head_sha).where(Preview.repository_id == repository.id, Preview.live)
    return heads.scalar_subquery()


def _end_build(build: Build, state: BuildState, message: str, now: datetime) -> None:
    build.fault = {"party": "repository", "message": message, "file": None, "line": None, "step": None}
    advance_build(build, state, now)
