"""Which builds a visitor may see: those of repositories that they may see. To others, a build does not exist."""

from binder.store import Store
from binder.store.tables import Build, Repository
from proxy.access import Access
from proxy.faults import NotVisibleError
from proxy.viewers import Viewer

_LARGEST_NUMBER = 2**31


async def visible_build(store: Store, access: Access, viewer: Viewer, build_id: int | None) -> tuple[Build, Repository]:
    """Return a build and its repository.

    Raises: NotVisibleError, where the viewer may not see it, or there is none; WorldFault.
    """
    async with store.read() as session:
        build = await session.get(Build, build_id) if build_id is not None else None
        repository = await session.get(Repository, build.repository_id) if build else None
    if build is None or repository is None or not await access.may_see(viewer, repository):
        raise NotVisibleError("There is no such build.")
    return build, repository


def number_of(text: str | None) -> int | None:
    """Return the number that a visitor wrote, or None where it is none that the store could hold."""
    is_number = text is not None and text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if text and is_number and int(text) < _LARGEST_NUMBER else None
