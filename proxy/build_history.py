"""Reads the earlier builds of a repository, by which a launch is measured."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.lifecycle import BuildState
from binder.store.tables import Build
from proxy.progress import Past, made_of

_MOST_BUILDS = 20


async def past_of(session: AsyncSession, build: Build) -> tuple[Past, ...]:
    """Return the last builds of the same repository that succeeded before this one; forks' are measured by forks'."""
    same = (Build.repository_id == build.repository_id, Build.untrusted == build.untrusted, Build.id < build.id)
    good = select(Build.result, Build.started_at, Build.finished_at).where(Build.state == BuildState.SUCCEEDED, *same)
    return tuple(
        Past(row.result["seconds"], (row.finished_at - row.started_at).total_seconds(), made_of(row.result))
        for row in await session.execute(good.order_by(Build.id.desc()).limit(_MOST_BUILDS))
        if (row.result or {}).get("seconds") and row.started_at and row.finished_at
    )
