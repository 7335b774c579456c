"""Writes down what was decided about a ref: its repository, its preview, the build that it needs, those that it ends.

Everything happens in the caller's transaction, and only if the preview is still as it was before GitHub was asked: of
two workers who look at one ref, the one whose answer is older writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.errors import WorldFault
from binder.lifecycle import BuildState
from binder.store.queries import ACTIVE_BUILDS, advance_build, find_repository, want_build
from binder.store.tables import Build, Preview, Repository
from githubapp.events import Look
from githubapp.heads import WAITS_FOR_APPROVAL, Decision
from githubapp.owed import owe_end, owe_reports
from githubapp.reports import Addresses, end_of
from githubapp.values import RepositoryFacts

Mark: TypeAlias = tuple[str, bool, datetime] | None


class MovedError(WorldFault):
    """Somebody else wrote about the same ref since the mark was taken."""


@dataclass(frozen=True)
class Observation:
    """What was looked at and found: `mark` is what was known of the preview before."""

    look: Look
    facts: RepositoryFacts
    decision: Decision
    mark: Mark


async def mark_of(session: AsyncSession, host: str, look: Look) -> Mark:
    """Return what is known of the preview now, None where there is none."""
    of_repository = (Repository.host == host, Repository.external_id == look.repository_id)
    repository = (await session.scalars(select(Repository).where(*of_repository))).one_or_none()
    return _mark(await _preview(session, repository, look)) if repository else None


async def record(session: AsyncSession, host: str, seen: Observation, addresses: Addresses, now: datetime) -> None:
    """Write down what was decided, and owe GitHub what follows from it.

    Raises: MovedError.
    """
    repository = await _record_repository(session, host, seen.facts, addresses)
    preview = await _preview(session, repository, seen.look)
    if _mark(preview) != seen.mark:
        raise MovedError("The ref changed while it was looked at.")
    if preview is None and seen.decision.sha is None:
        return  # it was never known, and it is gone
    left = preview.head_sha if preview else None
    preview = await _record_preview(session, repository, preview, seen, now)
    if seen.decision.build:
        await want_build(session, repository_id=repository.id, sha=preview.head_sha, preview_id=preview.id)
    ended = await _end_unwanted_builds(session, repository, now)
    left = left or preview.head_sha
    for sha in dict.fromkeys((preview.head_sha, left, *(build.sha for build in ended))):
        await owe_reports(session, repository, sha, addresses)
    await owe_end(session, repository, preview, left)


def _mark(preview: Preview | None) -> Mark:
    return (preview.head_sha, preview.live, preview.updated_at) if preview else None


async def _preview(session: AsyncSession, repository: Repository, look: Look) -> Preview | None:
    same = (Preview.repository_id == repository.id, Preview.kind == look.kind, Preview.ref == look.ref)
    return (await session.scalars(select(Preview).where(*same))).one_or_none()


async def _record_repository(
    session: AsyncSession, host: str, facts: RepositoryFacts, addresses: Addresses
) -> Repository:
    """Bring the row of a repository up to date; it stays locked, so that nobody else writes about its refs."""
    place = facts.place
    by_number = select(Repository).where(Repository.host == host, Repository.external_id == place.repository_id)
    row = (await session.scalars(by_number.with_for_update())).one_or_none()
    named = await find_repository(session, host=host, owner=facts.owner, name=facts.name)
    if row is None and named and named.external_id is None:
        row = named  # a visitor's link named it first
    elif named and named is not row:
        # It had this name once. No repository can have the name that it gets, until a delivery tells of its new one.
        named.name = f"~{named.id}"
        await session.flush()
    if row is None:
        row = Repository(host=host)
        session.add(row)
    row.external_id, row.owner, row.name = place.repository_id, facts.owner, facts.name
    row.clone_url = f"{addresses.github}/{facts.owner}/{facts.name}.git"
    row.private, row.default_branch, row.installation_id = facts.private, facts.default_branch, place.installation_id
    await session.flush()
    return row


async def _record_preview(
    session: AsyncSession, repository: Repository, preview: Preview | None, seen: Observation, now: datetime
) -> Preview:
    if preview is None:
        preview = Preview(repository_id=repository.id, kind=seen.look.kind, ref=seen.look.ref)
        session.add(preview)
    preview.head_sha = seen.decision.sha or preview.head_sha
    preview.live = seen.decision.sha is not None
    preview.held = WAITS_FOR_APPROVAL if preview.live and not seen.decision.build else None
    preview.updated_at = now
    await session.flush()
    return preview


async def _end_unwanted_builds(session: AsyncSession, repository: Repository, now: datetime) -> Sequence[Build]:
    """End the unfinished builds of previews whose commit is no longer the head of any, and return them."""
    heads = select(Preview.head_sha).where(Preview.repository_id == repository.id, Preview.live)
    of_previews = (Build.repository_id == repository.id, Build.preview_id.is_not(None))
    unwanted = select(Build).where(*of_previews, Build.state.in_(ACTIVE_BUILDS), Build.sha.not_in(heads))
    builds = (await session.scalars(unwanted.with_for_update())).all()
    for build in builds:
        preview = await session.get_one(Preview, build.preview_id)
        build.fault = {"party": "repository", "message": end_of(preview), "file": None, "line": None, "step": None}
        advance_build(build, BuildState.SUPERSEDED if preview.live else BuildState.CANCELLED, now)
    await session.flush()
    return builds
