"""Which routes there should be, and how HAProxy's table is made to hold them and no others.

`Route`, `routes_wanted` and `difference` are pure. `RouteKeeper` compares the store with the observed table, and writes
back which sessions were used.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import select, update

from binder.errors import OperatorFault
from binder.lifecycle import SessionState
from binder.names import is_session_id, is_token
from binder.store import Store
from binder.store.tables import Session, utc_now

_TARGET = re.compile(r"\A(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]{2,45}\]):\d{1,5}\Z")
_ACTIVITY_EVERY = timedelta(seconds=30)
# Activity that differs by less is not worth a write.
_ACTIVITY_GRAIN = timedelta(seconds=15)


class RouteTable(Protocol):
    """The proxy's table."""

    async def set_routes(self, routes: Mapping[str, str]) -> None:
        """Send the requests of each key to its target."""

    async def del_routes(self, keys: Collection[str]) -> None:
        """Route nothing by these keys any more."""

    async def show_routes(self) -> dict[str, str]:
        """Return key → target."""

    async def idle_seconds(self, session_id: str | None = None) -> dict[str, float]:
        """Return session id → seconds since it was used, of all or of one."""


@dataclass(frozen=True)
class Route:
    """A way to a session, for whoever holds its token.

    `target` is an address and a port: `10.0.0.2:8888` or `[fd00::2]:8888`.
    """

    session_id: str
    token: str
    target: str

    @property
    def key(self) -> str:
        """What the proxy looks up."""
        return f"{self.session_id}/{self.token}"


@dataclass(frozen=True)
class Difference:
    """What makes the observed table the wanted one."""

    to_set: Mapping[str, str]
    to_delete: frozenset[str]


def route_of(session: Session) -> Route | None:
    """Return the way to an open session; None for one that is not open, or has no address to go to."""
    return _route(session.id, session.token, session.target) if session.state is SessionState.OPEN else None


def routes_wanted(opened: Iterable[tuple[str, str, str | None]]) -> dict[str, str]:
    """Return the table that there should be (key → target), of all open sessions' id, token and target."""
    routes = (_route(*one) for one in opened)
    return {route.key: route.target for route in routes if route}


def _route(session_id: str, token: str, target: str | None) -> Route | None:
    is_whole = target and _TARGET.match(target) and is_session_id(session_id) and is_token(token)
    return Route(session_id, token, target) if target and is_whole else None


def difference(wanted: Mapping[str, str], observed: Mapping[str, str]) -> Difference:
    """Return what to set and what to delete."""
    to_set = {key: target for key, target in wanted.items() if observed.get(key) != target}
    return Difference(to_set, frozenset(observed.keys() - wanted.keys()))


def used_since(
    known: Mapping[str, datetime | None], idle_seconds: Mapping[str, float], now: datetime
) -> dict[str, datetime]:
    """Return the sessions that were used after what is known of them: id → when."""
    used = {key: now - timedelta(seconds=idle_seconds[key]) for key in known.keys() & idle_seconds.keys()}
    return {key: at for key, at in used.items() if _is_later(at, known[key])}


def _is_later(at: datetime, known: datetime | None) -> bool:
    return known is None or at - known >= _ACTIVITY_GRAIN


async def stored_routes(store: Store) -> dict[str, str]:
    """Return the table that the store asks for: key → target."""
    # Columns, not rows: it is asked at each change of the store.
    opened = select(Session.id, Session.token, Session.target).where(Session.state == SessionState.OPEN)
    async with store.read() as session:
        return routes_wanted([(key, token, target) for key, token, target in await session.execute(opened)])


class RouteKeeper:
    """Keeps the proxy's table and the sessions' activity up to date."""

    def __init__(self, store: Store, table: RouteTable) -> None:
        self._store = store
        self._table = table
        self._activity_due = utc_now()

    async def step(self) -> bool:
        """Make the table what it should be; return whether there was anything to change.

        Raises: StoreUnavailableError; OperatorFault, where the proxy does not answer.
        """
        # The table first: whatever is in it was stored before, so that a route of this moment is never taken away.
        observed = await self._table.show_routes()
        change = difference(await stored_routes(self._store), observed)
        await self._table.del_routes(change.to_delete)
        await self._table.set_routes(change.to_set)
        if utc_now() >= self._activity_due:
            await self.note_activity(utc_now())
            self._activity_due = utc_now() + _ACTIVITY_EVERY
        return bool(change.to_delete or change.to_set)

    async def ensure_route(self, session: Session) -> None:
        """Open the way to a session now, so that the first request finds it.

        Raises: OperatorFault, where the session has no address, or the proxy does not answer.
        """
        route = route_of(session)
        if route is None:
            raise OperatorFault("The session has no address that the proxy could reach.")
        await self._table.set_routes({route.key: route.target})

    async def used_at(self, session: Session, now: datetime) -> datetime | None:
        """Return when a session was last used, by the store's account and the proxy's of this moment.

        Raises: OperatorFault, where the proxy does not answer.
        """
        used = used_since({session.id: session.activity_at}, await self._table.idle_seconds(session.id), now)
        return used.get(session.id, session.activity_at)

    async def note_activity(self, now: datetime) -> None:
        """Store when open sessions were last used, by the proxy's account.

        Raises: StoreUnavailableError; OperatorFault, where the proxy does not answer.
        """
        idle = await self._table.idle_seconds()
        is_open = Session.state == SessionState.OPEN
        async with self._store.read() as session:
            rows = await session.execute(select(Session.id, Session.activity_at).where(is_open))
            used = used_since({row.id: row.activity_at for row in rows}, idle, now)
        if not used:
            return
        async with self._store.write() as session:
            for key, at in used.items():
                await session.execute(update(Session).where(Session.id == key, is_open).values(activity_at=at))
