"""PostgreSQL from a notebook: `from binder_modules import postgres`, then `postgres.connect()`.

Where the session's server is, and who may use it, is in the variables that all of PostgreSQL's clients read (`PGHOST`).
"""

import csv
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier

_CHUNK = 2**20
_KINDS: tuple[tuple[str, Callable[[str], object]], ...] = (("bigint", int), ("double precision", float))


def connect(**options: Any) -> psycopg.Connection[TupleRow]:
    """Return a new connection to the session's database; `options` are psycopg's, such as `autocommit=True`."""
    return psycopg.connect(**options)


def load_csv(path: str, table: str = "") -> int:
    """Make a table of a CSV file, whose first line names the columns, and return how many rows it got.

    The table is called as the file is, where it is not said. Columns are whole numbers, numbers or texts, as all of
    their values are.
    """
    name = Identifier(table or Path(path).stem)
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        columns = [*zip(next(rows), _kinds(rows), strict=False)]
        parts = SQL(", ").join(SQL("{} " + kind).format(Identifier(column)) for column, kind in columns)
        file.seek(0)
        with connect() as connection, connection.cursor() as cursor:
            cursor.execute(SQL("CREATE TABLE {} ({})").format(name, parts))
            with cursor.copy(SQL("COPY {} FROM STDIN WITH (FORMAT csv, HEADER true)").format(name)) as copy:
                while text := file.read(_CHUNK):
                    copy.write(text)
            return cursor.rowcount


def _kinds(rows: Iterable[Sequence[str]]) -> list[str]:
    columns = [*zip(*rows, strict=True)]
    return [_kind([value for value in column if value]) for column in columns]


def _kind(values: Sequence[str]) -> str:
    for kind, read in _KINDS:
        try:
            for value in values:
                read(value)
        except ValueError:
            continue
        return kind
    return "text"


if __name__ == "__main__":
    print(f"{sys.argv[1]}: {load_csv(sys.argv[1])} rows")
