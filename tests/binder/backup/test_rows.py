"""A store goes out of any database into a file, and out of that into any database, as it was."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from binder.backup.rows import bring_forward, check_store, copy_of_store, fill_store
from binder.errors import OperatorFault, StoreUnavailableError
from binder.store import Store, open_store
from binder.store.schema import schema_versions, upgrade
from binder.store.tables import Build
from tests.binder.rows import add_builds, add_repository
from tests.binder.schemas import fill, rows_in
from tests.postgresql import EACH_STORE, store_address

_SCHEMA = schema_versions()[-1]


def _sync(url: str) -> str:
    return url.replace("+aiosqlite", "")


def _held_by(url: str) -> dict[str, list[object]]:
    engine = create_engine(_sync(url), poolclass=NullPool)
    with engine.connect() as connection:
        return rows_in(connection)


def _fill(url: str) -> None:
    upgrade(url)
    engine = create_engine(_sync(url), poolclass=NullPool)
    with engine.begin() as connection:
        fill(connection)
        # Nothing in JSON is not the same as nothing in its place.
        connection.execute(text("UPDATE builds SET fault = 'null' WHERE id = 2"))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@EACH_STORE
async def test_a_store_goes_into_any_database(
    store_url: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    _fill(store_url)
    copy = tmp_path / "copy"
    copy_of_store(store_url, copy)
    assert copy.stat().st_mode & 0o777 == 0o600
    check_store(copy, _SCHEMA)
    (tmp_path / "other").mkdir()
    other = store_address(kind, request, tmp_path / "other")
    upgrade(other)
    fill_store(other, copy)
    assert _nothings(other) == [(2, True, False)]
    assert _held_by(other) == _held_by(store_url)
    async with open_store(other) as store:  # numbers go on behind those that are there
        assert (await add_repository(store)).id == 3


def _nothings(url: str) -> list[tuple[object, ...]]:
    engine = create_engine(_sync(url), poolclass=NullPool)
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT id, result IS NULL, fault IS NULL FROM builds WHERE result IS NULL OR fault IS NULL")
        )
        return [(row[0], bool(row[1]), bool(row[2])) for row in rows]


async def test_a_copy_is_of_one_moment_while_others_write(store: Store, tmp_path: Path) -> None:
    await add_builds(store, 5)
    async with store.write() as session:
        session.add(Build(repository_id=1, sha="f" * 40))
        await session.flush()
        copy_of_store(store.url, tmp_path / "copy")
    assert len(_held_by(f"sqlite:///{tmp_path / 'copy'}")["builds"]) == 5


@EACH_STORE
async def test_nothing_is_put_over_a_store_that_holds_something(store_url: str, tmp_path: Path) -> None:
    _fill(f"sqlite:///{tmp_path / 'full.db'}")
    copy_of_store(f"sqlite:///{tmp_path / 'full.db'}", tmp_path / "copy")
    async with open_store(store_url) as store:
        await add_repository(store)
    before = _held_by(store_url)
    with pytest.raises(OperatorFault, match="not empty: there is something in its table repositories"):
        fill_store(store_url, tmp_path / "copy")
    assert _held_by(store_url) == before


@EACH_STORE
async def test_rows_that_do_not_fit_leave_nothing(store_url: str, tmp_path: Path) -> None:
    _fill(f"sqlite:///{tmp_path / 'full.db'}")
    copy_of_store(f"sqlite:///{tmp_path / 'full.db'}", tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy")) as connection:
        connection.execute("UPDATE sessions SET created_at = 'yesterday' WHERE rowid = 1")
        connection.commit()
    upgrade(store_url)
    before = _held_by(store_url)
    with pytest.raises(OperatorFault, match="not what a store can hold"):
        fill_store(store_url, tmp_path / "copy")
    assert _held_by(store_url) == before


@EACH_STORE
async def test_a_store_of_a_newer_version_is_not_copied(store_url: str, tmp_path: Path) -> None:
    upgrade(store_url)
    engine = create_engine(_sync(store_url), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(OperatorFault, match="schema 9999"):
        copy_of_store(store_url, tmp_path / "copy")


def test_a_store_of_an_older_version_is_brought_forward_in_its_copy(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    upgrade(url, "0003")
    copy_of_store(url, tmp_path / "copy")
    check_store(tmp_path / "copy", _SCHEMA)
    check_store(tmp_path / "old.db", "0003")


@EACH_STORE
def test_where_there_is_no_store_none_is_made(store_url: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorFault, match="no service has run"):
        copy_of_store(store_url, tmp_path / "copy")
    assert not (tmp_path / "binder.db").exists()


def test_a_database_that_does_not_answer_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError):
        copy_of_store(f"postgresql+psycopg://nobody@/nothing?host={tmp_path}", tmp_path / "copy")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER ours AFTER INSERT ON builds BEGIN DELETE FROM builds; END",
        "CREATE VIEW more AS SELECT 1",
        "CREATE VIRTUAL TABLE found USING fts5(words)",
        "UPDATE alembic_version SET version_num = '0001'",
        "DELETE FROM alembic_version",
        "DROP TABLE alembic_version",
    ],
)
def test_a_file_that_holds_more_than_rows_or_another_version_is_refused(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "store"
    path.touch()
    bring_forward(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    with pytest.raises(OperatorFault, match="in this backup"):
        check_store(path, _SCHEMA)


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(OperatorFault, match="in this backup"):
        check_store(path, _SCHEMA)
