"""Which builds a visitor may see: those of public repositories. To everybody, the others do not exist."""

from sqlalchemy.ext.asyncio import AsyncSession

from binder.errors import VisitorFault
from binder.store.tables import Build, Repository

_LARGEST_NUMBER = 2**31


async def visible_build(session: AsyncSession, build_id: int | None) -> tuple[Build, Repository]:
    """Return a build and its repository.

    Raises: VisitorFault, where a visitor may not see it, or there is none.
    """
    build = await session.get(Build, build_id) if build_id is not None else None
    repository = await session.get(Repository, build.repository_id) if build else None
    if build is None or repository is None or repository.private:
        raise VisitorFault("There is no such build.")
    return build, repository


def number_of(text: str | None) -> int | None:
    """Return the number that a visitor wrote, or None where it is none that the store could hold."""
    is_number = text is not None and text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if text and is_number and int(text) < _LARGEST_NUMBER else None
