"""Sees which builds changed, and has their reports owed.

Builds are moved on by others, who know nothing of GitHub. What changed is found by comparing builds with what is
written down as wanted: all of them once, after that those that had not ended and those that are new.
"""

from collections.abc import Sequence

from sqlalchemy import Row, Select, and_, select, union
from sqlalchemy.orm import aliased

from binder.store import Store
from binder.store.queries import ACTIVE_BUILDS
from binder.store.tables import Build, Report, Repository
from githubapp.owed import is_of_preview, is_told, owe_reports
from githubapp.reports import Addresses

_PAGE = 500

Seen = Row[Build, Repository, Report]  # the last may be None


class BuildWatch:
    """Remembers which builds had not ended when it last looked; a new one looks at all."""

    def __init__(self, store: Store, addresses: Addresses) -> None:
        self._store = store
        self._addresses = addresses
        self._open: frozenset[int] = frozenset()
        self._next = 0

    async def note_changes(self) -> bool:
        """Have GitHub be owed what builds should show, and return whether any of them changed."""
        after, still_open, changed, is_last = 0, set[int](), False, False
        while not is_last:
            rows = await self._look(after)
            changed |= await self._note(rows)
            still_open |= {row.Build.id for row in rows if row.Build.state in ACTIVE_BUILDS}
            after = rows[-1].Build.id if rows else after
            is_last = len(rows) < _PAGE
        self._open = frozenset(still_open)
        self._next = max(self._next, after + 1)
        return changed

    async def _look(self, after: int) -> Sequence[Seen]:
        # Each part has an index of its own; SQLite would read all builds for one condition with `or`, and all that come
        # after one where it is told so outside of the parts.
        parts = (Build.state.in_(ACTIVE_BUILDS), Build.id.in_(self._open), Build.id >= self._next)
        concerned = union(*(select(Build.id).where(part, Build.id > after) for part in parts))
        async with self._store.read() as session:
            return (await session.execute(_NEWEST.where(Build.id.in_(concerned)))).all()

    async def _note(self, rows: Sequence[Seen]) -> bool:
        commits = {
            (build.repository_id, build.sha) for build, _, report in rows if not is_told(build, report, self._addresses)
        }
        if commits:
            # Decided again inside of the transaction that writes: a build may have moved on in between.
            async with self._store.write() as session:
                for repository_id, sha in sorted(commits):
                    repository = await session.get_one(Repository, repository_id)
                    await owe_reports(session, repository, sha, self._addresses)
        return bool(commits)


def _newest_builds() -> Select[Build, Repository, Report]:
    """Return the question for the newest build of each commit of a preview, with its status's report."""
    newer = aliased(Build)
    same = (newer.repository_id == Build.repository_id, newer.sha == Build.sha, newer.id > Build.id)
    is_its_status = and_(
        Report.repository_id == Build.repository_id, Report.kind == "status", Report.subject == Build.sha
    )
    return (
        select(Build, Repository, Report)
        .join(Repository, Repository.id == Build.repository_id)
        .outerjoin(Report, is_its_status)
        .where(Repository.installation_id.is_not(None), is_of_preview(), ~select(newer.id).where(*same).exists())
        # A sum: for the ids themselves SQLite would go through all builds in their order, looking for those asked for.
        .order_by(Build.id + 0)
        .limit(_PAGE)
    )


_NEWEST = _newest_builds()
