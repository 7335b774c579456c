"""Writes down what was decided about a ref: its repository, its preview, the build that it needs, those that it ends.

Everything happens in the caller's transaction, and only if the preview is still as it was before GitHub was asked: of
two workers who look at one ref, the one whose answer is older writes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.errors import WorldFault
from binder.lifecycle import BuildState, DeliveryState
from binder.store.queries import ACTIVE_BUILDS, newest_build, want_build
from binder.store.tables import Build, Preview, Repository
from binder.store.tables import Decision as DecisionRow
from githubapp.decisions import Cause, note
from githubapp.endings import end_unwanted_builds, end_unwanted_sessions
from githubapp.events import Look
from githubapp.heads import Decision, Head, Known
from githubapp.owed import owe_end, owe_reports
from githubapp.reports import Addresses
from githubapp.repositories import record_repository, stored_repository
from githubapp.values import RepositoryFacts

Mark: TypeAlias = tuple[object, ...] | None
"""What was known of a repository and of a preview of it, None where nothing was."""


class MovedError(WorldFault):
    """Somebody else wrote about the same ref since the mark was taken."""


@dataclass(frozen=True)
class Observation:
    """What was looked at and found: `mark` is what was known of the preview before.

    `facts` and `choices` are for the preview's row. `asked` tells that somebody wants a build even where one failed,
    `approved_by` who allowed this commit of a fork.
    """

    look: Look
    repository: RepositoryFacts
    head: Head
    decision: Decision
    mark: Mark
    choices: Mapping[str, bool] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    asked: bool = False
    approved_by: str | None = None


async def mark_of(session: AsyncSession, host: str, look: Look) -> Mark:
    """Return what is known of the preview now."""
    repository = await stored_repository(session, host, look.repository_id)
    return _mark(repository, await preview_of(session, repository, look)) if repository else None


async def known_of(session: AsyncSession, host: str, look: Look, sha: str) -> tuple[Known, str | None]:
    """Return what is known of a head, and the commit that the preview was last built well of, None if it never was."""
    repository = await stored_repository(session, host, look.repository_id)
    if repository is None:
        return Known(), None
    preview = await preview_of(session, repository, look)
    build = await newest_build(session, repository_id=repository.id, sha=sha, untrusted=True)
    is_wanted = build is not None and build.preview_id is not None and build.state in _WANTED
    cancelled_by = await _cancelled_by(session, repository, look, sha)
    known = Known(is_wanted, preview.approved_sha if preview else None, cancelled_by)
    return known, await _good_sha(session, preview) if preview else None


_WANTED = {*ACTIVE_BUILDS, BuildState.SUCCEEDED}


async def _good_sha(session: AsyncSession, preview: Preview) -> str | None:
    good = select(Build.sha).where(Build.preview_id == preview.id, Build.state == BuildState.SUCCEEDED)
    return (await session.scalars(good.order_by(Build.id.desc()).limit(1))).first()


async def _cancelled_by(session: AsyncSession, repository: Repository, look: Look, sha: str) -> str | None:
    """Return who had the build of a head cancelled, if nobody wanted it again since."""
    same = (DecisionRow.repository_id == repository.id, DecisionRow.kind == look.kind, DecisionRow.ref == look.ref)
    by_somebody = and_(DecisionRow.outcome == "cancel", DecisionRow.cause.in_(("command", "button")))
    last = select(DecisionRow).where(*same, DecisionRow.sha == sha, or_(DecisionRow.outcome == "build", by_somebody))
    found = (await session.scalars(last.order_by(DecisionRow.id.desc()).limit(1))).first()
    return found.actor if found and found.outcome == "cancel" else None


async def record(
    session: AsyncSession, host: str, seen: Observation, addresses: Addresses, cause: Cause, now: datetime
) -> None:
    """Write down what was decided, and owe GitHub what follows from it.

    Raises: MovedError.
    """
    stored = await stored_repository(session, host, seen.look.repository_id, to_write=True)
    preview = await preview_of(session, stored, seen.look) if stored else None
    if (_mark(stored, preview) if stored else None) != seen.mark:
        raise MovedError("The ref changed while it was looked at.")
    repository = await record_repository(session, host, seen.repository, addresses)
    if preview is None and seen.decision.sha is None:
        return  # it was never known, and it is gone
    left, before = preview.head_sha if preview else None, _standing(preview)
    preview = await _record_preview(session, repository, preview, seen, now)
    await _note_decision(session, preview, seen, cause, has_moved=before != _standing(preview))
    if not preview.live:
        await end_unwanted_sessions(session, repository, preview, now)
    ended = await end_unwanted_builds(session, repository, cause, now)
    left = left or preview.head_sha
    for sha in dict.fromkeys((preview.head_sha, left, *(build.sha for build in ended))):
        await owe_reports(session, repository, sha, addresses)
    for sha in dict.fromkeys((left, preview.head_sha)):
        await owe_end(session, repository, preview, sha)


def _mark(repository: Repository, preview: Preview | None) -> Mark:
    of_preview = (preview.head_sha, preview.live, preview.updated_at) if preview else None
    return (repository.installation_id, repository.private, repository.archived, of_preview)


async def preview_of(session: AsyncSession, repository: Repository, look: Look) -> Preview | None:
    """Return the preview of a ref, None where there is none."""
    same = (Preview.repository_id == repository.id, Preview.kind == look.kind, Preview.ref == look.ref)
    return (await session.scalars(select(Preview).where(*same))).one_or_none()


async def _record_preview(
    session: AsyncSession, repository: Repository, preview: Preview | None, seen: Observation, now: datetime
) -> Preview:
    if preview is None:
        preview = Preview(repository_id=repository.id, kind=seen.look.kind, ref=seen.look.ref)
        session.add(preview)
    decision, pull = seen.decision, seen.head.pull
    preview.head_sha = decision.sha or preview.head_sha
    preview.live = decision.action != "end"
    preview.held = decision.held
    preview.updated_at = now
    if pull:
        preview.from_fork = pull.is_from_fork
        preview.facts = dict(seen.facts)
    if decision.sha:
        preview.choices = dict(seen.choices)
    if seen.approved_by:
        preview.approved_sha, preview.approved_by = decision.sha, seen.approved_by
    await session.flush()
    return preview


def _standing(preview: Preview | None) -> tuple[object, ...] | None:
    return (preview.head_sha, preview.live, preview.held) if preview else None


async def _note_decision(
    session: AsyncSession, preview: Preview, seen: Observation, cause: Cause, *, has_moved: bool
) -> None:
    """Have the head built where that was decided, and write down what was decided, and of which commit."""
    decision, sha = seen.decision, preview.head_sha
    if decision.state is DeliveryState.STALE and seen.look.sha:
        note(session, cause, preview, "stale", decision.reason, sha=seen.look.sha)
    if seen.approved_by:
        note(session, cause, preview, "approve", None, sha=sha)
    if decision.action == "build":
        repository_id = preview.repository_id
        before = await newest_build(session, repository_id=repository_id, sha=sha, untrusted=True)
        build = await want_build(session, repository_id=repository_id, sha=sha, preview_id=preview.id, again=seen.asked)
        has_moved = before is None or before.id != build.id
    note(session, cause, preview, decision.action if has_moved else "known", decision.reason, sha=sha)
