"""Ends open sessions of private repositories once whoever opened them may not read the repository any more.

`verdict` is pure. It goes by rows, whatever changed them: events, another replica, a sign-out, or just some minutes
that went by. The routes of what has ended vanish by themselves.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import and_, false, func, not_, select

from binder.errors import WorldFault
from binder.lifecycle import SessionState
from binder.log import logger
from binder.store import Store
from binder.store.access import end_old_sign_ins
from binder.store.queries import advance_session
from binder.store.tables import Grant, Repository, Session, Visitor, utc_now
from proxy.access import Access
from proxy.context import ProxyContext
from proxy.viewers import GRANTED_FOR, Viewer, is_good

log = logger(__name__)

_ENDED = "You may not open this repository any more, or are not signed in any more."
# While GitHub does not answer, nobody loses their work at once; but they do not keep for ever what may be lost.
_UNCONFIRMED_FOR = timedelta(minutes=15)
_PAUSE_SECONDS = 10.0
_CLEAN_EVERY_SECONDS = 600.0


@dataclass(frozen=True)
class Opened:
    """An open session of a private repository, who opened it, and what GitHub said of them last."""

    session: Session
    repository: Repository
    visitor: Visitor | None
    grant: Grant | None


def verdict(opened: Opened, now: datetime) -> Literal["keep", "ask", "end"]:
    """Return what becomes of a session. Nobody's sessions are those of when the repository was public."""
    if opened.visitor is None or opened.visitor.tokens is None:
        return "end"
    return "keep" if opened.grant and is_good(opened.grant, opened.repository, now) else "ask"


def is_kept_unconfirmed(opened: Opened, now: datetime) -> bool:
    """Whether a session goes on for now although GitHub does not say whether it may."""
    return opened.grant is not None and now - opened.grant.asked_at < _UNCONFIRMED_FOR


class OpenSessions:
    """Looks after the open sessions of private repositories."""

    def __init__(self, context: ProxyContext) -> None:
        self._store: Store = context.store
        self._access = Access(context)
        self._ask_at = self._clean_at = 0.0

    async def step(self) -> bool:
        """End what is not permitted any more; return whether there was anything.

        Raises: StoreUnavailableError.
        """
        if time.monotonic() >= self._clean_at:
            self._clean_at = time.monotonic() + _CLEAN_EVERY_SECONDS
            async with self._store.write() as session:
                await end_old_sign_ins(session, utc_now())
        ended = [opened.session.id for opened in await self._opened() if not await self._may_stay(opened)]
        if ended:
            await self._end(ended)
        return bool(ended)

    async def _opened(self) -> Sequence[Opened]:
        """Return those that the store does not say may stay: it is asked at each change of the store.

        `stays` is what `verdict` calls "keep", and `proxy.viewers.is_good`, in the store's own words.
        """
        of_visitor = and_(Grant.visitor_id == Session.visitor_id, Grant.repository_id == Session.repository_id)
        stays = and_(
            Visitor.tokens.is_not(None),
            Grant.epoch == Repository.access_epoch,
            Grant.asked_at > utc_now() - GRANTED_FOR,
        )
        query = (
            select(Session, Repository, Visitor, Grant)
            .join(Repository, Repository.id == Session.repository_id)
            .outerjoin(Visitor, Visitor.id == Session.visitor_id)
            .outerjoin(Grant, of_visitor)
            .where(Session.state == SessionState.OPEN, Repository.private, not_(func.coalesce(stays, false())))
        )
        async with self._store.read() as session:
            return [Opened(*row) for row in await session.execute(query)]

    async def _may_stay(self, opened: Opened) -> bool:
        decided = verdict(opened, utc_now())
        if decided != "ask" or opened.visitor is None:
            return decided == "keep"
        if time.monotonic() >= self._ask_at:
            try:
                viewer = Viewer(opened.visitor.id, opened.visitor.login)
                return await self._access.may_see(viewer, opened.repository)
            except WorldFault as error:
                log.warning("access_not_confirmed", session=opened.session.id, reason=error.message)
                self._ask_at = time.monotonic() + _PAUSE_SECONDS
        return is_kept_unconfirmed(opened, utc_now())

    async def _end(self, ids: Sequence[str]) -> None:
        is_one = (Session.id.in_(ids), Session.state == SessionState.OPEN)
        async with self._store.write() as session:
            for row in await session.scalars(select(Session).where(*is_one).with_for_update()):
                advance_session(row, SessionState.ENDED, utc_now(), reason=_ENDED)
                log.info("session_withdrawn", session=row.id)
