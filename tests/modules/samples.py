"""The files of a module of the tests, and what becomes of them with a change."""

from collections.abc import Mapping

from modules.definition import Module
from modules.reading import read_module

DEFINITION = """\
title: PostgreSQL
summary: A database of the session's own.
parameters:
  database: {kind: text, default: binder, pattern: "[a-z][a-z0-9_]{0,30}", summary: The name of the database.}
  memory: {kind: size, default: 256 MiB, least: 128 MiB, most: 4 GiB, summary: The most that the server uses.}
  workers: {kind: integer, default: 2, least: 1, most: 4, summary: How many workers there are.}
  fast: {kind: flag, default: "true", summary: Whether it may lose data.}
  locale: {kind: choice, default: C, choices: [C, C.UTF-8], summary: How texts are sorted.}
secrets: [password]
images:
  server: images/server
components:
  server: {image: server, memory: memory}
  worker: {image: notebook, memory: 64 MiB}
modes:
  single-node: {server: 1}
  multi-node: {server: 1, worker: workers}
client:
  python: ["psycopg[binary]>=3.2"]
  debian: [postgresql-client]
  environment:
    PGHOST: "{{ hosts.server }}"
    PGPASSWORD: "{{ password }}"
    DATABASE_URL: "postgresql://binder:{{ password | urlencode }}@{{ hosts.server }}:5432/{{ database | urlencode }}"
seeds:
  .sql: [psql, --set, ON_ERROR_STOP=1, --file, "{{ file }}"]
  .csv: [python, -m, binder_modules.postgres, "{{ file }}"]
  "*": ["{{ file }}"]
pages:
  - {title: Statistics, component: server, port: web, path: /stats}
"""

SERVER = """\
{
  "command": ["serve", "{{ database }}", "{{ index }}"],
  "environment": {"PASSWORD": "{{ password }}", "MEMORY": "{{ memory_bytes }}"},
  "ports": {"sql": 5432, "web": 8080},
  "health": ["pg_isready", "-h", "127.0.0.1"],
  "seconds": 60,
  "cpus": 0.5,
  "folders": ["/var/lib/postgresql"]
}
"""

FILES: Mapping[str, bytes] = {
    "module.yml": DEFINITION.encode(),
    "components/server.json": SERVER.encode(),
    "components/worker.json": b'{"command": ["work", "{{ hosts.server }}"], "health": ["true"]}',
    "images/server/Containerfile": b"FROM base\n",
    "client/binder_modules/postgres.py": b"def connect() -> None: ...\n",
    "client/example.ipynb": b'{"cells": []}',
}


def files_with(changes: Mapping[str, str | None] = {}, definition: tuple[str, str] | None = None) -> dict[str, bytes]:
    """Return the files with some changed or left out (None), and one text of the definition put for another."""
    found = {**FILES, **{path: (text or "").encode() for path, text in changes.items()}}
    if definition:
        old, new = definition
        assert old in DEFINITION
        found["module.yml"] = DEFINITION.replace(old, new).encode()
    return {path: content for path, content in found.items() if changes.get(path, "") is not None}


def postgres(version: str = "15", name: str = "postgres") -> Module:
    """Return the module, in a version, and under another name."""
    files = {path.replace("postgres", name): content for path, content in FILES.items()}
    return read_module(name, version, files, origin="the tests", folder=f"binder/modules/{name}/{version}")
