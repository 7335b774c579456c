"""How alembic reaches the store: by the address that the caller gives, with a connection of its own.

All migrations that a store lacks are one transaction: they happen wholly or not at all, and once, however many
processes start at the same time.
"""

import contextlib
import sqlite3
from typing import Any

from alembic import context
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import NullPool

from binder.store.tables import Row

_MIGRATING = 0x62696E646572  # "binder": any number that nobody else of this database takes


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        render_as_batch=True,
        compare_type=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _set_up_sqlite(engine: Engine) -> None:
    """Let readers go on while somebody writes, and our transaction hold all changes of the schema.

    Source: https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#serializable-isolation-savepoints-transactional-ddl
    """

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: object) -> None:
        connection.isolation_level = None
        # The file remembers it. Whoever asks for it while others have the file open may be told that it is locked, at
        # once: it is asked for here, where nobody else is at work, and not for each connection.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _main() -> None:
    url = make_url(context.config.attributes["url"])
    # Alembic waits for its database; the driver of PostgreSQL can do both, that of SQLite has a name for each.
    engine = create_engine(url.set(drivername=url.drivername.removesuffix("+aiosqlite")), poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        _set_up_sqlite(engine)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # One process at a time, until its transaction ends; SQLite's has the whole file.
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
        _run(connection)


_main()
