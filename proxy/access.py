"""Finds out who looks, and what they may see: the store's rows and GitHub's answers, by the rules of `proxy.viewers`.

To those who may not see it, a private repository does not exist: they get the same answer as for one that is not there,
after the same questions.
"""

import contextlib

from sqlalchemy.exc import IntegrityError
from starlette.requests import Request

from binder.store import Store
from binder.store.access import keep_grant, visitor_with
from binder.store.tables import Grant, Repository, utc_now
from proxy.answers import host_cookie
from proxy.commits import stored_at
from proxy.context import ProxyContext
from proxy.providers import Place
from proxy.viewers import ANYBODY, Viewer, decide

_COOKIE = "binder-visitor"


class Access:
    """Answers who looks and what they may see. Keeps nothing by itself: replicas agree by the store."""

    def __init__(self, context: ProxyContext) -> None:
        self._store: Store = context.store
        self._sign_in = context.sign_in
        self._host = context.settings.github_host
        self.cookie = host_cookie(_COOKIE, context.settings)
        """The name of the cookie that says who looks."""

    async def viewer(self, request: Request) -> Viewer:
        """Return who looks."""
        token = request.cookies.get(self.cookie)
        if not token or not self._sign_in.is_open:
            return ANYBODY
        async with self._store.read() as session:
            visitor = await visitor_with(session, token, utc_now())
        return Viewer(visitor.id, visitor.login) if visitor and visitor.tokens else ANYBODY

    async def may_see(self, viewer: Viewer, repository: Repository) -> bool:
        """Whether a viewer may see a repository. To be asked outside of transactions: GitHub may be asked as well.

        Raises: WorldFault, where GitHub does not answer.
        """
        grant = await self._grant(viewer, repository)
        answer = decide(repository, viewer, grant, utc_now())
        return answer == "yes" or (answer == "ask" and await self._ask(viewer, repository.full_name, repository))

    async def repository(self, viewer: Viewer, place: Place) -> Repository | None:
        """Return the repository at a place, None where there is none, or where the viewer may not know of it.

        Raises: WorldFault, where GitHub does not answer.
        """
        async with self._store.read() as session:
            known = await stored_at(session, place)
        grant = await self._grant(viewer, known) if known else None
        answer = decide(known, viewer, grant, utc_now())
        if answer == "ask" and place.host == self._host:
            answer = "yes" if await self._ask(viewer, f"{place.owner}/{place.name}", known) else "no"
        return known if answer == "yes" else None

    async def _grant(self, viewer: Viewer, repository: Repository) -> Grant | None:
        if viewer.visitor_id is None or not repository.private:
            return None
        async with self._store.read() as session:
            return await session.get(Grant, (viewer.visitor_id, repository.id))

    async def _ask(self, viewer: Viewer, full_name: str, known: Repository | None) -> bool:
        if viewer.visitor_id is None or not self._sign_in.is_open:
            return False
        asked_at = utc_now()
        number = await self._sign_in.sees(viewer.visitor_id, full_name)
        # What the App is not installed on we must know nothing of, whoever else may see it.
        if known is None or number != known.external_id or known.installation_id is None:
            return False
        grant = Grant(visitor_id=viewer.visitor_id, repository_id=known.id, epoch=known.access_epoch, asked_at=asked_at)
        with contextlib.suppress(IntegrityError):  # another page of the visitor's asked the same at the same time
            async with self._store.write() as session:
                await keep_grant(session, grant)
        return True
