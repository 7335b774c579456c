"""The shared record: the engine, its transactions, and the leases on its rows.

Packages meet here and only here. Each of them writes the queries that are its own; what several need stands in
`binder.store.queries`.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, create_engine, event, func, make_url, or_, select, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as TimedOut
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm import Session as OrmSession

from binder.errors import StoreUnavailableError
from binder.loop import Hint
from binder.store.schema import upgrade
from binder.store.tables import Build, Delivery, Identity, NotebookRun, Report, Row, Session

Result = TypeVar("Result")
LeasedRow = TypeVar("LeasedRow", Build, Delivery, Report, Session)

NOTIFIED = "binder"
"""The channel of PostgreSQL on which writers tell other processes to look again (`binder.store.hints`)."""

_CHANGED, _ARRIVED = "changed", "arrived"
_LEASED: tuple[type[Build | Delivery | NotebookRun | Report | Session], ...] = (
    Build,
    Delivery,
    NotebookRun,
    Report,
    Session,
)


class Store:
    """A relational store; `changed` is given after every write, so that loops look again at once.

    `arrived` is given as well, and alone after writes that only took deliveries in: those come in bursts, and concern
    only whoever acts on them.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.changed = Hint()
        self.arrived = Hint()
        self.is_shared = url.startswith("postgresql")
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._engine = create_async_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        if url.startswith("sqlite"):
            _set_up_sqlite(self._engine.sync_engine)
        self._at_once = _AtOnce(url) if url.startswith("sqlite") else None
        # SQLite has one writer, and lets the others poll for their turn: ours queue before they get there.
        self._turn: AbstractAsyncContextManager[None] = asyncio.Lock() if url.startswith("sqlite") else nullcontext()
        # What is read in several statements is of one moment; SQLite has it no other way.
        one_moment = {} if url.startswith("sqlite") else {"isolation_level": "REPEATABLE READ"}
        self._reading = self._engine.execution_options(binder_reading=True, **one_moment)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Give a transaction that only reads, all of it as of one moment. Its rows may be kept: they do not expire.

        Raises: StoreUnavailableError.
        """
        with _store_errors():
            async with AsyncSession(self._reading, expire_on_commit=False) as session, session.begin():
                yield session

    @asynccontextmanager
    async def write(self, *, only_arrivals: bool = False, tells: bool = True) -> AsyncIterator[AsyncSession]:
        """Give a transaction that may write, and hint at the change once it is committed, if it `tells` of it.

        Raises: StoreUnavailableError.
        """
        with _store_errors():
            async with self._turn, AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
                yield session
                if tells and self.is_shared:
                    # Told at the commit, and not at all where there is none.
                    said = f"{_ARRIVED if only_arrivals else _CHANGED} {self.owner}"
                    await session.execute(select(func.pg_notify(NOTIFIED, said)))
        if tells:
            self._tell(only_arrivals=only_arrivals)

    async def write_at_once(
        self, work: Callable[[OrmSession], Result], *, only_arrivals: bool = False, tells: bool = True
    ) -> Result:
        """Run `work` in a transaction that may write, with nothing of ours in between: for what comes in bursts.

        SQLite's driver hands each statement to a thread and back; here all go together, and wait for the loop once.
        Where it `tells` nobody, no hint is given.

        Raises: StoreUnavailableError.
        """
        if self._at_once is None:
            async with self.write(only_arrivals=only_arrivals, tells=tells) as session:
                return await session.run_sync(work)
        with _store_errors():
            async with self._turn:
                result = await self._at_once.run(work)
        if tells:
            self._tell(only_arrivals=only_arrivals)
        return result

    def take_hint(self, said: str) -> None:
        """Give the hint that another process gave; an empty one may have been any."""
        kind, _, owner = said.partition(" ")
        if owner != self.owner:
            self._tell(only_arrivals=kind == _ARRIVED)

    def _tell(self, *, only_arrivals: bool) -> None:
        self.arrived.give()
        if not only_arrivals:
            self.changed.give()

    async def migrate(self) -> None:
        """Bring the schema up to date."""
        with _store_errors():
            await asyncio.to_thread(upgrade, self.url)

    async def instance(self) -> str:
        """Return the name of the service whose store this is: eight letters, the same for all of its processes.

        Raises: StoreUnavailableError.
        """
        async with self.read() as session:
            return (await session.scalars(select(Identity.instance))).one()

    async def close(self) -> None:
        """Let go of all connections."""
        await self._engine.dispose()
        if self._at_once:
            await self._at_once.close()

    async def claim(
        self, kind: type[LeasedRow], *where: ColumnElement[bool], now: datetime, lease_seconds: float
    ) -> LeasedRow | None:
        """Take the oldest row of `kind` that fits and that nobody holds, or return None."""
        free = or_(kind.lease_until.is_(None), kind.lease_until < now)
        until = now + timedelta(seconds=lease_seconds)
        oldest = select(kind.id).where(free, *where).order_by(_age_of(kind)).limit(1)
        async with self.read() as session:  # most looks find nothing, and those need no write lock
            if (await session.execute(oldest)).first() is None:
                return None
        async with self.write() as session:
            if self._engine.dialect.name == "postgresql":
                oldest = oldest.with_for_update(skip_locked=True)
            taken = update(kind).where(kind.id == oldest.scalar_subquery(), free)
            rows = await session.scalars(taken.values(lease_owner=self.owner, lease_until=until).returning(kind))
            return rows.one_or_none()

    async def release_leases(self, *, of_all: bool = False) -> None:
        """Free what this process holds; with `of_all`, what anybody does: for whoever knows that nobody is at work."""
        async with self.write() as session:
            for kind in _LEASED:
                held = kind.lease_owner.is_not(None) if of_all else kind.lease_owner == self.owner
                await session.execute(update(kind).where(held).values(lease_owner=None, lease_until=None))


class _AtOnce:
    """A connection to a SQLite file of its own, in a thread of its own, for whole transactions."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(make_url(url).set(drivername="sqlite"))
        _set_up_sqlite(self._engine)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    async def run(self, work: Callable[[OrmSession], Result]) -> Result:
        """Run `work` to its end, and keep those who come next waiting until then, even where whoever asked gave up."""
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)
        try:
            return await asyncio.shield(running)
        finally:
            await asyncio.wait([running])

    def _run(self, work: Callable[[OrmSession], Result]) -> Result:
        with OrmSession(self._engine, expire_on_commit=False) as session, session.begin():
            return work(session)

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)
        self._engine.dispose()


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """Give the store at `url`, its schema up to date."""
    store = Store(url)
    try:
        await store.migrate()
        yield store
    finally:
        await store.close()


class _store_errors:  # noqa: N801 - reads as a statement
    """Turns what is raised where a database, or a place among its connections, cannot be had into our own error."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, (OperationalError, InterfaceError, TimedOut)) or (
            isinstance(error, DBAPIError) and error.connection_invalidated
        ):
            raise StoreUnavailableError("The service's database does not answer. Please try again later.") from error


def _age_of(kind: type[Build | Delivery | Report | Session]) -> InstrumentedAttribute[Any]:
    """Return what the oldest row has least of; a session's id is random, all others count up."""
    return kind.created_at if issubclass(kind, Session) else kind.id


def _set_up_sqlite(engine: Engine) -> None:
    """Make SQLite durable, and its transactions begin when ours do.

    Source: https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#serializable-isolation-savepoints-transactional-ddl
    """

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "invalidate")
    def _given_up(connection: Any, _: object, __: object) -> None:
        # Whoever is cancelled between a statement and its rows leaves it open. A connection that is closed with an open
        # statement goes on in SQLite, and with it the lock of its transaction: until garbage is collected.
        connection.rollback()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later can find the file locked and no way to wait: lock at once.
        reading = connection.get_execution_options().get("binder_reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


__all__ = ["Row", "Store", "open_store"]
