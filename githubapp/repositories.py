"""The rows of repositories: one for each number that GitHub has given, whatever the repository is called by now."""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from binder.store.queries import find_repository
from binder.store.tables import Preview, Repository
from githubapp.owed import owe_again
from githubapp.reports import Addresses
from githubapp.values import RepositoryFacts

HIDDEN = "the repository is private, and visitors may open public ones only"


async def stored_repository(
    session: AsyncSession, host: str, number: int, *, to_write: bool = False
) -> Repository | None:
    """Return the row of a repository, None where there is none; `to_write` keeps others from it until the end."""
    by_number = select(Repository).where(Repository.host == host, Repository.external_id == number)
    return (await session.scalars(by_number.with_for_update() if to_write else by_number)).one_or_none()


async def record_repository(
    session: AsyncSession, host: str, facts: RepositoryFacts, addresses: Addresses
) -> Repository:
    """Bring the row of a repository up to date; it stays locked, so that nobody else writes about its refs."""
    place = facts.place
    row = await stored_repository(session, host, place.repository_id, to_write=True)
    named = await find_repository(session, host=host, owner=facts.owner, name=facts.name)
    if row is None and named and named.external_id is None:
        row = named  # a visitor's link named it first
    elif named and named is not row:
        # It had this name once. No repository can have the name that it gets, until a delivery tells of its new one.
        named.name = f"~{named.id}"
        await session.flush()
    if row is None:
        row = Repository(host=host, private=facts.private)
        session.add(row)
    was_seen = row.installation_id is not None and not row.archived and not await _was_hidden(session, row, facts)
    if row.private != facts.private:
        row.access_epoch += 1
    row.external_id, row.owner, row.name = place.repository_id, facts.owner, facts.name
    row.owner_id = facts.owner_id
    row.clone_url = f"{addresses.github}/{facts.owner}/{facts.name}.git"
    row.private, row.archived, row.default_branch = facts.private, facts.archived, facts.default_branch
    row.installation_id = place.installation_id
    await session.flush()
    if not was_seen and not facts.archived:
        await _begin_again(session, row, addresses)
    return row


async def _was_hidden(session: AsyncSession, row: Repository, facts: RepositoryFacts) -> bool:
    """Whether nobody saw it, because it was private while nobody could sign in, or is public only now."""
    if not row.private or not facts.private:
        return row.private
    hidden = (Preview.repository_id == row.id, Preview.live.is_(False), Preview.held == HIDDEN)
    return (await session.scalars(select(Preview.id).where(*hidden).limit(1))).first() is not None


async def _begin_again(session: AsyncSession, repository: Repository, addresses: Addresses) -> None:
    """Take up a repository that we had no right to for a while: nothing that was said of its refs holds any more.

    What was left waiting is told its end first, which is why the repository was out of our sight.
    """
    await owe_again(session, repository, addresses)
    ended = (Preview.repository_id == repository.id, Preview.live.is_(False))
    await session.execute(update(Preview).where(*ended).values(held=None, updated_at=Preview.updated_at))


def unseen(facts: RepositoryFacts, *, signs_in: bool) -> str | None:
    """Return why a repository that we can see has no previews, None where it may have some.

    `signs_in`: visitors can sign in, so that those who may read a private one can open it.
    """
    if facts.private and not signs_in:
        return HIDDEN
    return "the repository is archived" if facts.archived else None
