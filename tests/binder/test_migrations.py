"""The schema: what the migrations make is what the rows are, whatever was there before."""

import asyncio
import sqlite3
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from binder.errors import StoreUnavailableError
from binder.store import Store, open_store
from binder.store.queries import find_repository
from binder.store.tables import Row
from tests.binder.rows import add_repository


async def test_a_new_store_is_what_the_rows_say(store: Store) -> None:
    engine = create_engine(store.url.replace("+aiosqlite", ""))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Row.metadata) == []
    engine.dispose()


async def test_a_store_that_is_opened_again_keeps_what_it_holds(store_url: str) -> None:
    async with open_store(store_url) as store:
        await add_repository(store)
    async with open_store(store_url) as store, store.read() as session:
        assert await find_repository(session, host="github.com", owner="ada", name="notebooks")


async def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "binder.db"
    _in_the_way(path, "CREATE TABLE sessions (id INTEGER)")
    with pytest.raises(StoreUnavailableError):
        async with open_store(f"sqlite+aiosqlite:///{path}"):
            pass
    assert _tables(path) == {"sessions"}
    _in_the_way(path, "DROP TABLE sessions")
    async with open_store(f"sqlite+aiosqlite:///{path}"):
        assert set(Row.metadata.tables) < _tables(path)


def _in_the_way(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def _tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    return names


_OPEN = """
import asyncio, sys
from binder.store import open_store
async def main():
    async with open_store(sys.argv[1]):
        pass
asyncio.run(main())
"""


async def test_processes_that_start_together_migrate_once(store_url: str) -> None:
    processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", _OPEN, store_url) for _ in range(3)]
    assert [await process.wait() for process in processes] == [0, 0, 0]
    async with open_store(store_url) as store:
        await add_repository(store)


async def test_a_version_goes_on_whose_store_a_newer_one_has_moved_on(store_url: str) -> None:
    async with open_store(store_url) as store, store.write() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    async with open_store(store_url) as store:
        await add_repository(store)
    async with store.read() as session:
        assert await session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    await store.close()


async def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "100% of it"
    folder.mkdir()
    async with open_store(f"sqlite+aiosqlite:///{folder / 'binder.db'}") as store:
        await add_repository(store)
