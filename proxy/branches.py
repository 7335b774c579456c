"""What the store knows of a branch: its head, and the last of its commits that can be opened."""

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.lifecycle import BuildState
from binder.store.queries import has_lost_its_image
from binder.store.tables import Build, Decision, Preview, Repository

# Further back than this nobody looks for an image that is still there.
_MOST_LOOKED_AT = 20


async def branch_of(session: AsyncSession, repository: Repository, ref: str) -> Preview | None:
    """Return a branch that is kept live, None where there is none of that name; `HEAD` is the default one."""
    branch = repository.default_branch if ref == "HEAD" else ref
    same = (Preview.repository_id == repository.id, Preview.kind == "branch", Preview.ref == branch, Preview.live)
    return (await session.scalars(select(Preview).where(*same))).first()


async def last_good_build(session: AsyncSession, branch: Preview) -> Build | None:
    """Return the newest build of a branch that succeeded and whose image is there, None where there is none.

    A commit may have been built for a pull request before it came to the branch: decisions tell which were its heads.
    """
    same = (Decision.repository_id == branch.repository_id, Decision.kind == "branch", Decision.ref == branch.ref)
    heads = select(Decision.sha).where(*same)
    good = (
        select(Build)
        .where(Build.repository_id == branch.repository_id, Build.state == BuildState.SUCCEEDED, ~Build.untrusted)
        .where(or_(Build.preview_id == branch.id, Build.sha.in_(heads)))
        .order_by(Build.id.desc())
        .limit(_MOST_LOOKED_AT)
    )
    return next((build for build in await session.scalars(good) if not has_lost_its_image(build)), None)
