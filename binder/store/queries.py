"""What several packages ask of the store. All take the caller's transaction."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.errors import BinderError, RepositoryFault
from binder.lifecycle import BuildState, SessionState, states_before_end, step
from binder.store.tables import Build, Delivery, Preview, Report, Repository, Session

State = TypeVar("State", bound=StrEnum)

ACTIVE_BUILDS = states_before_end(BuildState)
LIVE_SESSIONS = states_before_end(SessionState)


async def find_repository(
    session: AsyncSession, *, host: str, owner: str, name: str, is_exact: bool = False
) -> Repository | None:
    """Return the repository of that name, in whatever case it is written, unless `is_exact`."""
    same = (func.lower(Repository.owner) == owner.lower(), func.lower(Repository.name) == name.lower())
    if is_exact:
        same = (Repository.owner == owner, Repository.name == name)
    return (await session.scalars(select(Repository).where(Repository.host == host, *same))).first()


async def counts_by_state(
    session: AsyncSession, table: type[Build | Delivery | Session], states: Iterable[State]
) -> dict[State, int]:
    """Return how many rows of a table there are in each of these states."""
    wanted = list(states)
    counted = select(table.state, func.count()).where(table.state.in_(wanted)).group_by(table.state)
    found = {row[0]: row[1] for row in await session.execute(counted)}
    return {state: found.get(state, 0) for state in wanted}


async def newest_build(session: AsyncSession, *, repository_id: int, sha: str, untrusted: bool) -> Build | None:
    """Return the newest build of a commit that is good for who asks.

    A trusted build is good for all. One that was made of the commit while it was a fork's is not good for the
    repository's own branches, once they have the commit.
    """
    same = [Build.repository_id == repository_id, Build.sha == sha]
    if not untrusted:
        same.append(~Build.untrusted)
    return (await session.scalars(select(Build).where(*same).order_by(Build.id.desc()).limit(1))).first()


async def is_own_commit(session: AsyncSession, *, repository_id: int, sha: str) -> bool:
    """Whether a commit is known to be the repository's own, and no fork's: it is, or was, what one of its refs shows.

    Nobody can tell by the sha: GitHub gives out the commits of all forks as if they were the repository's.
    """
    own = select(Preview.id).where(Preview.repository_id == repository_id, Preview.head_sha == sha, ~Preview.from_fork)
    if (await session.scalars(own.limit(1))).first() is not None:
        return True
    return await newest_build(session, repository_id=repository_id, sha=sha, untrusted=False) is not None


async def want_build(
    session: AsyncSession,
    *,
    repository_id: int,
    sha: str,
    preview_id: int | None = None,
    again: bool = False,
    untrusted: bool = False,
    for_jobs: bool = False,
) -> Build:
    """Return the newest build of a commit that is good for who asks, or queue one where there is none.

    A build that failed stands until somebody wants it `again`; one that was superseded or cancelled does not, nor one
    whose image was removed, nor an untrusted one of a commit that is trusted by now. Unless it is wanted `for_jobs`, it
    is from now on more than that.
    """
    untrusted = untrusted or await _is_forks_only(session, repository_id, sha)
    newest = await newest_build(session, repository_id=repository_id, sha=sha, untrusted=untrusted)
    kept = {*ACTIVE_BUILDS, BuildState.SUCCEEDED} | (set() if again else {BuildState.FAILED})
    if newest and newest.state in kept and not has_lost_its_image(newest):
        if newest.preview_id is None:
            newest.preview_id = preview_id
        newest.for_jobs = newest.for_jobs and for_jobs
        return newest
    build = Build(repository_id=repository_id, sha=sha, preview_id=preview_id, untrusted=untrusted, for_jobs=for_jobs)
    session.add(build)
    await session.flush()
    return build


async def _is_forks_only(session: AsyncSession, repository_id: int, sha: str) -> bool:
    """Whether a commit is the head of forks' pull requests alone. Whoever wants it built does not change that."""
    of_commit = (Preview.repository_id == repository_id, Preview.head_sha == sha)
    heads = list(await session.scalars(select(Preview.from_fork).where(*of_commit)))
    return bool(heads) and all(heads)


def has_lost_its_image(build: Build) -> bool:
    """Whether the image that a build made was removed since."""
    return build.state is BuildState.SUCCEEDED and (build.result or {}).get("image", "") is None


def advance_build(build: Build, state: BuildState, now: datetime) -> None:
    """Move a build along its life cycle.

    Raises: IllegalTransitionError.
    """
    build.state = step(build.state, state)
    if state is BuildState.FETCHING:
        build.started_at = now
    if state not in ACTIVE_BUILDS:
        build.finished_at = now
        build.lease_owner = build.lease_until = None


def fail_build(build: Build, error: BinderError, now: datetime) -> None:
    """End a build with what was wrong."""
    build.fault = {"party": error.party, "message": error.message, "file": None, "line": None, "step": None}
    if isinstance(error, RepositoryFault):
        build.fault |= {"file": error.file, "line": error.line, "step": error.step}
    advance_build(build, BuildState.FAILED, now)


def advance_session(row: Session, state: SessionState, now: datetime, *, reason: str | None = None) -> None:
    """Move a session along its life cycle.

    Raises: IllegalTransitionError.
    """
    row.state = step(row.state, state)
    row.reason = reason
    match state:
        case SessionState.STANDBY:
            row.ready_at = now
        case SessionState.OPEN:
            row.opened_at = row.activity_at = now
        case SessionState.ENDED | SessionState.FAILED:
            row.ended_at = now
        case _:
            pass
    if state is not SessionState.STARTING:
        row.lease_owner = row.lease_until = None


async def want_report(
    session: AsyncSession, *, repository_id: int, kind: str, subject: str, wanted: dict[str, Any]
) -> None:
    """Owe GitHub what it should show; what was owed before and not yet sent is replaced.

    Where an attempt was made whose end nobody knows, GitHub may show neither of them by now: then it is owed even where
    it is what was sent last.
    """
    same = (Report.repository_id == repository_id, Report.kind == kind, Report.subject == subject)
    report = (await session.scalars(select(Report).where(*same))).one_or_none()
    if report is None:
        session.add(Report(repository_id=repository_id, kind=kind, subject=subject, wanted=wanted))
    elif report.wanted != wanted:
        report.wanted = wanted
        if report.sent != wanted or report.attempts:
            owe_anew(report)
        else:
            report.owed = False


def owe_anew(report: Report) -> None:
    """Owe a report at once, with all its attempts before it but one: that one may have had its effect is kept."""
    report.owed, report.attempts, report.not_before = True, min(report.attempts, 1), None
