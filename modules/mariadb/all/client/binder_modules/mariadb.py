"""MariaDB from a notebook: `from binder_modules import mariadb`, then `mariadb.connect()`.

Where the session's server is, and who may use it, is in `MYSQL_HOST` and the variables beside it.
"""

import csv
import os
import sys
from pathlib import Path
from typing import Any

import pymysql


def connect(**options: Any) -> "pymysql.Connection[Any]":
    """Return a new connection to the session's database; `options` are PyMySQL's, such as `autocommit=True`."""
    environ = os.environ
    usual = {
        "host": environ["MYSQL_HOST"],
        "port": int(environ["MYSQL_TCP_PORT"]),
        "user": environ["MYSQL_USER"],
        "password": environ["MYSQL_PWD"],
        "database": environ["MYSQL_DATABASE"],
    }
    return pymysql.connect(**{**usual, **options})


def load_csv(path: str, table: str = "") -> int:
    """Make a table of a CSV file, whose first line names the columns, and return how many rows it got.

    The table is called as the file is, where it is not said. Columns are numbers or texts, as all of their values are.
    """
    name = _quoted(table or Path(path).stem)
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        first, *rows = csv.reader(file)
    numbers = [all(_is_number(row[at]) for row in rows) for at in range(len(first))]
    columns = ", ".join(
        f"{_quoted(one)} {'double' if number else 'text'}" for one, number in zip(first, numbers, strict=True)
    )
    values = [[value or None for value in row] for row in rows]
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name} ({columns})")
        marks = ", ".join(["%s"] * len(first))
        cursor.executemany(f"INSERT INTO {name} VALUES ({marks})", values)  # noqa: S608 - a name, quoted
        connection.commit()
    return len(rows)


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``").replace("%", "%%") + "`"


if __name__ == "__main__":
    print(f"{sys.argv[1]}: {load_csv(sys.argv[1])} rows")
