"""Writes the dumps that are missing."""

import re
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from binder.store.schema import schema_versions, upgrade
from tests.binder.schemas import dump_of, fill
from tests.postgresql import running_postgresql

_NOTHING = re.compile(r"\A(?:--|\\|SET |SELECT pg_catalog\.set_config|\s*\Z)")


def main() -> None:
    """Write each version's stores, in both kinds of databases."""
    with running_postgresql() as server, tempfile.TemporaryDirectory() as folder:
        for version in schema_versions():
            file = Path(folder) / f"{version}.db"
            if not dump_of(version, "sqlite").exists():
                _make(f"sqlite:///{file}", version)
                with closing(sqlite3.connect(file)) as connection:
                    _write(version, "sqlite", "\n".join(connection.iterdump()))
            if not dump_of(version, "postgresql").exists():
                url = server.new_database()
                _make(url, version)
                name = make_url(url).database or ""
                argv = ("pg_dump", "-h", str(server.folder), "-U", "postgres", "--inserts", "-O", "-x", name)
                done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
                _write(version, "postgresql", done.stdout)


def _make(url: str, version: str) -> None:
    upgrade(url, version)
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        fill(connection)
    engine.dispose()


def _write(version: str, kind: str, text: str) -> None:
    lines = [line for line in text.splitlines() if not _NOTHING.match(line)]
    dump_of(version, kind).write_text("\n".join(lines) + "\n", encoding="utf-8")


main()
