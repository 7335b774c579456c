"""A store as rows: out of any database into an SQLite file, and out of such a file into any database.

A backup is of one kind, so that what was kept in SQLite can go on in PostgreSQL, and the other way round. Values go
across as they are: JSON as the text that it is stored as, and words of life cycles as words.

Works with databases directly, without the loops' `Store`: nobody else is at work where rows are put.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    JSON,
    URL,
    Column,
    Connection,
    Engine,
    String,
    Table,
    Text,
    bindparam,
    cast,
    create_engine,
    delete,
    func,
    insert,
    make_url,
    select,
    text,
    type_coerce,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from binder.errors import OperatorFault, StoreUnavailableError
from binder.store.schema import schema_versions, upgrade
from binder.store.tables import Identity, Row, StateType

_AT_ONCE: Final = 100
_BUSY_SECONDS: Final = 30.0
_ONE_MOMENT: Final[Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def copy_of_store(url: str, to: Path) -> None:
    """Write a store, as it is at this moment, to a new SQLite file of our schema, also while a service works on it.

    Raises: OperatorFault, where there is no store, or one of another version; StoreUnavailableError.
    """
    with _store_errors():
        if url.startswith("sqlite"):
            _copy_sqlite(Path(make_url(url).database or ""), to)
        else:
            _copy_rows(url, to)


def _copy_sqlite(source: Path, to: Path) -> None:
    """Copy by SQLite's own means, which take what was committed when they began.

    Source: https://www.sqlite.org/backup.html
    """
    if not source.exists():
        raise OperatorFault(f"There is no store {source} yet: no service has run on it.")
    to.touch(0o600)
    with (
        contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as there,
        contextlib.closing(sqlite3.connect(to)) as here,
    ):
        there.execute(f"PRAGMA busy_timeout = {int(_BUSY_SECONDS * 1000)}")
        there.backup(here)
    schema = _schema_in(to)
    if schema not in schema_versions():
        raise OperatorFault(
            f"The store has the schema {schema}, which this version of Binder does not know. Back it up with the "
            "version that runs on it."
        )
    bring_forward(to)


def _copy_rows(url: str, to: Path) -> None:
    with _engine(url) as source, source.connect().execution_options(**_ONE_MOMENT) as connection:
        there, ours = schema_of(connection), schema_versions()[-1]
        if there is None:
            raise OperatorFault("There is no store in this database yet: no service has run on it.")
        if there != ours:
            raise OperatorFault(
                f"The database has the schema {there}, and this version of Binder works with {ours}. Back it up with "
                "the version that runs on it."
            )
        to.touch(0o600)
        bring_forward(to)
        with _engine(address_of(to)) as target, target.begin() as writing:
            writing.execute(delete(Identity))
            _pour(connection, writing)


def bring_forward(path: Path) -> None:
    """Bring an SQLite file to our schema, and have all of it in the one file."""
    upgrade(address_of(path))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def check_store(path: Path, schema: str) -> None:
    """See that a file which anybody may have made is a store of this schema, whole, and holds nothing but rows.

    Raises: OperatorFault.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            if connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
                raise OperatorFault("The store in this backup is damaged. Take another one.")
            others = connection.execute(
                "SELECT 1 FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE '%VIRTUAL%'"
            )
            version = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            if others.fetchone() or version != [(schema,)]:
                raise OperatorFault("The store in this backup is not what its manifest says. Take another one.")
    except sqlite3.DatabaseError as error:
        raise OperatorFault("The store in this backup cannot be read. Take another one.") from error


def fill_store(url: str, source: Path) -> None:
    """Put all rows of an SQLite file, whose schema is ours, into an empty store: all of them or none.

    Raises: OperatorFault, where something is in the store, or the rows do not fit; StoreUnavailableError.
    """
    with _store_errors(), _engine(address_of(source)) as file, _engine(url) as target:
        try:
            with file.connect() as reading, target.begin() as writing:
                _lock(writing)
                if full := next((table.name for table in _tables() if not _is_empty(writing, table)), None):
                    raise OperatorFault(
                        f"The store is not empty: there is something in its table {full}. Nothing is ever restored "
                        "over another store: set BINDER_STATE_DIR or BINDER_DATABASE_URL to an empty one."
                    )
                writing.execute(delete(Identity))
                _pour(reading, writing)
                _go_on_counting(writing)
        except (DBAPIError, ValueError) as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            raise OperatorFault("The rows in this backup are not what a store can hold. Take another one.") from error


def schema_of(connection: Connection) -> str | None:
    """Return the schema's version, None where there is no schema."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def address_of(path: Path) -> URL:
    """Return SQLAlchemy's address of an SQLite file, whatever its name."""
    return URL.create("sqlite", database=str(path))


def _schema_in(path: Path) -> str | None:
    with _engine(address_of(path)) as engine, engine.connect() as connection:
        return schema_of(connection)


def _pour(source: Connection, target: Connection) -> None:
    """Write all rows of one database to another, in the order in which they lean on each other."""
    for table in Row.metadata.sorted_tables:
        columns = [_carried(column).label(column.name) for column in table.columns]
        into = insert(table).values({column.name: _put(column, target) for column in table.columns})
        found = source.execution_options(yield_per=_AT_ONCE).execute(select(*columns))
        for part in found.mappings().partitions():
            target.execute(into, [_renamed(row) for row in part])


def _carried(column: Column[Any]) -> Any:
    """Return a column as it is read: JSON and words as texts, for None in JSON is not the same as nothing."""
    if isinstance(column.type, JSON):
        return cast(column, Text)
    return type_coerce(column, String) if isinstance(column.type, StateType) else column


def _put(column: Column[Any], target: Connection) -> Any:
    """Return a place for a value that was read so."""
    if isinstance(column.type, JSON):
        place = bindparam(f"{column.name}_", type_=Text)
        return cast(place, JSON) if target.dialect.name == "postgresql" else place
    kind = String() if isinstance(column.type, StateType) else column.type
    return bindparam(f"{column.name}_", type_=kind)


def _renamed(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {f"{name}_": value for name, value in row.items()}


def _tables() -> Iterator[Table]:
    """Give the tables that a store of which nothing was made yet has no row in."""
    return (table for table in Row.metadata.sorted_tables if table is not Identity.__table__)


def _is_empty(connection: Connection, table: Table) -> bool:
    return connection.execute(select(1).select_from(table).limit(1)).first() is None


def _lock(connection: Connection) -> None:
    """Keep others from writing meanwhile."""
    if connection.dialect.name == "postgresql":
        names = ", ".join(table.name for table in Row.metadata.sorted_tables)
        connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")


def _go_on_counting(connection: Connection) -> None:
    """Have PostgreSQL give numbers behind those that are there; SQLite looks at them by itself."""
    if connection.dialect.name != "postgresql":
        return
    for table in Row.metadata.sorted_tables:
        if table.autoincrement_column is not None:
            number = table.autoincrement_column
            sequence = func.pg_get_serial_sequence(table.name, number.name)
            connection.execute(
                select(func.setval(sequence, func.coalesce(func.max(number), 1), func.count() > 0)).select_from(table)
            )


@contextmanager
def _engine(url: str | URL) -> Iterator[Engine]:
    parts = make_url(url)
    engine = create_engine(parts.set(drivername=parts.drivername.removesuffix("+aiosqlite")), poolclass=NullPool)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.OperationalError) as error:
        raise StoreUnavailableError(
            "The service's database does not answer, or has no schema of ours. Please try again later."
        ) from error
