"""Stores of each version of the schema, with rows in all tables: what operators may still have.

`python -m tests.binder.schemas` writes those that are missing, as the dumps that the databases' own programs make. What
is there is never written anew: it is what that version was.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import JSON, Boolean, Column, Connection, DateTime, Float, Integer, LargeBinary, MetaData, Table, insert

FOLDER: Final = Path(__file__).parent
_WORDS: Final[Mapping[tuple[str, str], Sequence[str]]] = {
    ("builds", "state"): ("succeeded", "queued"),
    ("deliveries", "state"): ("acted", "stored"),
    ("sessions", "state"): ("open", "ended"),
    ("previews", "kind"): ("branch", "pull"),
    ("decisions", "kind"): ("branch", "pull"),
    ("notebook_runs", "outcome"): ("passed", "failed"),
    ("reports", "kind"): ("status", "comment"),
}
_COUNT: Final = 2


def dump_of(version: str, kind: str) -> Path:
    """Return the file with the store of a version, in a kind of database (`sqlite`, `postgresql`)."""
    return FOLDER / f"{version}.{kind}.sql"


def fill(connection: Connection) -> None:
    """Put two rows into each table that there is, but for those of the migrations' own."""
    metadata = MetaData()
    metadata.reflect(connection)
    for table in metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, JSON):
                column.type = JSON(none_as_null=True)
        if table.name not in {"alembic_version", "identity"}:
            connection.execute(insert(table), [_row(table, number) for number in range(1, _COUNT + 1)])


def rows_in(connection: Connection, columns: Mapping[str, Sequence[str]] | None = None) -> dict[str, list[Any]]:
    """Return what is in each table, of those columns that are named: table → rows, in order."""
    metadata = MetaData()
    metadata.reflect(connection)
    found = {}
    for table in metadata.sorted_tables:
        if table.name == "alembic_version" or (columns is not None and table.name not in columns):
            continue
        names = sorted(column.name for column in table.columns) if columns is None else columns[table.name]
        rows = connection.execute(table.select()).mappings()
        found[table.name] = sorted(({name: _plain(row[name]) for name in names} for row in rows), key=str)
    return found


def _plain(value: Any) -> Any:
    """Return a time without its zone, which SQLite does not tell and which is always UTC."""
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value


def _row(table: Table, number: int) -> dict[str, Any]:
    return {column.name: _value(table, column, number) for column in table.columns}


def _value(table: Table, column: Column[Any], number: int) -> Any:
    if column.foreign_keys:
        return number
    if words := _WORDS.get((table.name, column.name)):
        return words[number - 1]
    if number == _COUNT and column.nullable:
        return None
    return _value_of_kind(column, number)


def _value_of_kind(column: Column[Any], number: int) -> Any:
    match column.type:
        case JSON():
            return {"said": "“ä” \n 'x'", "number": number, "image": None}
        case Boolean():
            return number == 1
        case DateTime():
            return datetime(2026, 1, number, 12, 30, 15, 123456, tzinfo=UTC)
        case LargeBinary():
            return bytes([0, 255, number])
        case Integer() | Float():
            return number
        case _:
            length = getattr(column.type, "length", None) or 1000
            return f"{number}-{column.name}-Grüße"[: min(length, 40)]
