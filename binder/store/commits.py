"""What is stored about one commit, in all tables at once: found by the first letters of its sha, and read.

Reads only, and only along indexes: deliveries are found by the decisions that name them, and by their state where
nothing was decided yet. So one that was ignored and decided nothing belongs to no commit here. What the rows mean is
`binder.story`'s.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.lifecycle import DeliveryState
from binder.store.tables import Build, Decision, Delivery, Preview, Report, Repository, Session

MOST_ROWS: Final = 200
"""How many rows of each kind are read of one commit: the newest."""
MOST_FOUND: Final = 20
_MOST_UNDECIDED = 500
_UNDECIDED = (DeliveryState.STORED, DeliveryState.FAILED)
_OF_COMMIT = ("status", "check", "deployment")
_PREFIX = re.compile(r"[0-9a-f]{7,40}")
# No digit of a sha comes behind it.
_BEHIND_ALL_DIGITS = "g"


@dataclass(frozen=True)
class Commit:
    """A commit that something is stored about."""

    repository: Repository
    sha: str


@dataclass(frozen=True)
class CommitRows:
    """All that is stored about a commit, each kind oldest first; `is_whole` is False where older ones may be left
    out."""

    commit: Commit
    deliveries: Sequence[Delivery]
    decisions: Sequence[Decision]
    builds: Sequence[Build]
    sessions: Sequence[Session]
    reports: Sequence[Report]
    is_whole: bool


def prefix_of(text: str) -> str | None:
    """Return the letters of a sha that somebody wrote, None where they are too few, or none of a sha."""
    return text.lower() if _PREFIX.fullmatch(text.lower()) else None


async def find_commits(
    session: AsyncSession, prefix: str, repositories: Iterable[int] | None = None
) -> Sequence[Commit]:
    """Return the commits whose sha begins with `prefix`, of some repositories or of all, at most `MOST_FOUND`."""
    ids = select(Repository.id) if repositories is None else list(repositories)
    found: set[tuple[int, str]] = set()
    for kind in (Build, Decision):
        begins = and_(kind.repository_id.in_(ids), kind.sha >= prefix, kind.sha < prefix + _BEHIND_ALL_DIGITS)
        rows = await session.execute(select(kind.repository_id, kind.sha).where(begins).distinct().limit(MOST_FOUND))
        found |= {(repository_id, str(sha)) for repository_id, sha in rows}
    for _, host, external_id, sha in await _undecided(session):
        if sha.startswith(prefix):
            same = (Repository.host == host, Repository.external_id == external_id, Repository.id.in_(ids))
            found |= {(row, sha) for row in await session.scalars(select(Repository.id).where(*same))}
    first = sorted(found)[:MOST_FOUND]
    return [Commit(await session.get_one(Repository, repository_id), sha) for repository_id, sha in first]


async def rows_of(session: AsyncSession, commit: Commit) -> CommitRows:
    """Return what is stored about a commit."""
    of_commit = (Build.repository_id == commit.repository.id, Build.sha == commit.sha)
    builds = await _newest(session, Build, *of_commit)
    sessions = await _newest(session, Session, Session.build_id.in_([build.id for build in builds]))
    previews = await _previews_at(session, commit)
    decisions = await _decisions(session, commit, previews)
    deliveries = await _deliveries(session, commit, decisions)
    return CommitRows(
        commit,
        deliveries,
        decisions,
        builds,
        sessions,
        await _reports(session, commit, previews),
        is_whole=all(len(rows) < MOST_ROWS for rows in (builds, sessions, decisions, deliveries)),
    )


async def _newest(session: AsyncSession, kind: Any, *where: ColumnElement[bool]) -> list[Any]:
    age = kind.created_at if kind is Session else kind.id
    rows = await session.scalars(select(kind).where(*where).order_by(age.desc()).limit(MOST_ROWS))
    return list(rows)[::-1]


async def _previews_at(session: AsyncSession, commit: Commit) -> Sequence[Preview]:
    """Return the previews that are at the commit, or that ended there."""
    at_head = (Preview.repository_id == commit.repository.id, Preview.head_sha == commit.sha)
    return (await session.scalars(select(Preview).where(*at_head).order_by(Preview.id))).all()


async def _decisions(session: AsyncSession, commit: Commit, previews: Sequence[Preview]) -> list[Decision]:
    """Return the decisions that name the commit, and those about previews at it that name none: refused commands."""
    of_repository = Decision.repository_id == commit.repository.id
    named = await _newest(session, Decision, of_repository, Decision.sha == commit.sha)
    refs = [and_(Decision.kind == preview.kind, Decision.ref == preview.ref) for preview in previews]
    if not refs:
        return named
    unnamed = await _newest(session, Decision, of_repository, Decision.sha.is_(None), or_(*refs))
    first: dict[tuple[str, str], int] = {}
    for row in named:
        first.setdefault((row.kind, row.ref), row.id)
    # Before the first that names the commit, the same ref was at another one.
    later = [row for row in unnamed if row.id > first.get((row.kind, row.ref), row.id)]
    return sorted((*named, *later), key=lambda row: row.id)[-MOST_ROWS:]


async def _deliveries(session: AsyncSession, commit: Commit, decisions: Sequence[Decision]) -> list[Delivery]:
    ids = {row.delivery_id for row in decisions if row.delivery_id is not None}
    of_repository = (commit.repository.host, commit.repository.external_id)
    ids |= {
        delivery_id
        for delivery_id, host, external_id, sha in await _undecided(session)
        if (host, external_id) == of_repository and sha == commit.sha
    }
    return await _newest(session, Delivery, Delivery.id.in_(ids))


async def _undecided(session: AsyncSession) -> Sequence[tuple[int, str, int, str]]:
    """Return the newest deliveries about which nothing is decided: id, host, the repository's number, sha."""
    found: list[tuple[int, str, int, str]] = []
    for state in _UNDECIDED:  # one state at a time: the index is in the order of ids then
        newest = select(Delivery.id, Delivery.host, Delivery.payload).where(Delivery.state == state)
        for delivery_id, host, payload in await session.execute(
            newest.order_by(Delivery.id.desc()).limit(_MOST_UNDECIDED)
        ):
            external_id, sha = (payload.get("repository") or {}).get("id"), told_sha(payload)
            if isinstance(external_id, int) and sha:
                found.append((delivery_id, host, external_id, sha))
    return found


def told_sha(payload: dict[str, Any]) -> str | None:
    """Return the commit that a delivery told of, None where it named none."""
    pull = payload.get("pull_request") or {}
    named = (payload, "after"), (pull.get("head") or {}, "sha")
    checked = ((payload.get(name) or {}, "head_sha") for name in ("check_run", "check_suite"))
    shas = (below.get(key) for below, key in (*named, *checked))
    return next((sha for sha in shas if isinstance(sha, str)), None)


async def _reports(session: AsyncSession, commit: Commit, previews: Sequence[Preview]) -> Sequence[Report]:
    pulls = [preview.ref for preview in previews if preview.kind == "pull"]
    of_repository = Report.repository_id == commit.repository.id
    of_commit = (Report.kind.in_(_OF_COMMIT), Report.subject == commit.sha)
    of_pulls = (Report.kind == "comment", Report.subject.in_(pulls))
    # Two questions, since the index answers each of them, and not the two as one.
    both = [select(Report).where(of_repository, *where).order_by(Report.id) for where in (of_commit, of_pulls)]
    return [report for reports in both for report in await session.scalars(reports)]
