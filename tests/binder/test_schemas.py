"""Stores of all versions of the schema are brought forward, with all that they hold, in both kinds of databases."""

import sqlite3
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, make_url, select
from sqlalchemy.pool import NullPool

from binder.store import Store, open_store
from binder.store.schema import schema_versions
from binder.store.tables import Row
from tests.binder.schemas import dump_of, rows_in
from tests.postgresql import EACH_STORE

_OLD = schema_versions()


def load(url: str, version: str) -> None:
    """Have an empty database hold what the dump of a version does."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(make_url(url).database or "")) as connection:
            connection.executescript(dump_of(version, "sqlite").read_text(encoding="utf-8"))
        return
    with _connection(url) as connection:
        connection.exec_driver_sql(dump_of(version, "postgresql").read_text(encoding="utf-8").replace("%", "%%"))
        connection.commit()


def _engine(url: str) -> Engine:
    return create_engine(url.replace("+aiosqlite", ""), poolclass=NullPool)


def _connection(url: str) -> Connection:
    return _engine(url).connect()


@pytest.mark.parametrize("version", _OLD)
@EACH_STORE
async def test_a_store_is_brought_forward_with_all_that_it_holds(store_url: str, version: str) -> None:
    load(store_url, version)
    with _connection(store_url) as connection:
        before = rows_in(connection)
        columns = {table: sorted(rows[0]) for table, rows in before.items()}
    assert sum(map(len, before.values())) > 10
    async with open_store(store_url) as store:
        await _read_everything(store)
    with _connection(store_url) as connection:
        assert rows_in(connection, columns) == before
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Row.metadata) == []


async def _read_everything(store: Store) -> None:
    """Read each row as the service does: its states are words that there are, and its times have zones."""
    async with store.read() as session:
        for kind in Row.__subclasses__():
            list(await session.scalars(select(kind)))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_there_is_a_store_of_each_version(kind: str) -> None:
    """`python -m tests.binder.schemas` writes what is missing: do it before a version is released."""
    assert [version for version in _OLD if not dump_of(version, kind).exists()] == []
