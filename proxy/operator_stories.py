"""What happened to a commit, told to operators: found by its first letters, in the words of `binder why --json`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.errors import VisitorFault
from binder.names import is_repository
from binder.store import Store
from binder.store.commits import MOST_FOUND, Commit, CommitRows, find_commits, prefix_of, rows_of
from binder.store.tables import Repository
from binder.story import Event, story_of


async def story_told(store: Store, commit: str, repository: str | None) -> dict[str, Any]:
    """Return the story of a commit of any repository, or of one.

    Raises: VisitorFault, where there is no such commit, or several.
    """
    prefix = prefix_of(commit)
    if prefix is None:
        raise VisitorFault(f"{commit[:60]!r} is no commit: give its sha, or at least the first 7 letters of it.")
    async with store.read() as session:
        ids = await _repositories(session, repository) if repository else None
        found = await find_commits(session, prefix, ids)
        if len(found) != 1:
            raise VisitorFault(_not_one(prefix, repository, found))
        rows = await rows_of(session, found[0])
    return _values(rows, story_of(rows))


async def _repositories(session: AsyncSession, full_name: str) -> Sequence[int]:
    owner, _, name = full_name.partition("/")
    if not is_repository(owner, name):
        raise VisitorFault(f"{full_name[:100]!r} is no repository: give it as OWNER/NAME.")
    same = (func.lower(Repository.owner) == owner.lower(), func.lower(Repository.name) == name.lower())
    return (await session.scalars(select(Repository.id).where(*same))).all()


def _not_one(prefix: str, repository: str | None, found: Sequence[Commit]) -> str:
    if not found:
        of_it = f" of {repository}" if repository else ""
        return (
            f"Nothing is stored about a commit {prefix}{of_it}: no delivery of it was acted on, and nobody opened it. "
            "Was its push delivered? GitHub shows that in the App's settings, under Advanced."
        )
    more = " The first ones:" if len(found) == MOST_FOUND else ""
    lines = "".join(f"\n  {one.sha}  {one.repository.full_name} ({one.repository.host})" for one in found)
    return f"Several commits begin with {prefix}: give more letters, or --repository.{more}{lines}"


def _values(rows: CommitRows, events: Sequence[Event]) -> dict[str, Any]:
    return {
        "host": rows.commit.repository.host,
        "repository": rows.commit.repository.full_name,
        "sha": rows.commit.sha,
        "is_whole": rows.is_whole,
        "events": [
            {
                "at": event.at.isoformat(),
                "after_seconds": event.after_seconds,
                "kind": event.kind,
                "what": event.what,
                "details": [*event.details],
                "tone": event.tone,
                "reference": event.reference,
            }
            for event in events
        ],
    }
