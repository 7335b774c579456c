"""Shows values to people, as tables and sentences, and to programs, as JSON."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

_WIDE = 250
NOTHING = "-"
"""What a table shows where there is nothing."""


def print_json(value: Any) -> None:
    """Print a value for programs."""
    typer.echo(json.dumps(value, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, nothing: str) -> None:
    """Print rows as a table; where there is none, `nothing`."""
    if not rows:
        typer.echo(nothing)
        return
    from rich.console import Console  # noqa: PLC0415 - JSON does not wait for it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDE  # whatever reads it has no edge
    console.print(table)


def shown(value: Any) -> str:
    """Return a value in a person's words; without what only a terminal would understand."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "".join(one if one.isprintable() else " " for one in str(value))


def ago(at: str | None, now: datetime | None = None) -> str:
    """Return how long ago a time was: `3 min 12 s`."""
    if at is None:
        return NOTHING
    from binder.build_words import words_of_time  # noqa: PLC0415

    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(at)).total_seconds()
    return words_of_time(max(0.0, seconds))


def short(sha: str | None) -> str:
    """Return the first letters of a sha."""
    return (sha or NOTHING)[:10]


def modules_said(modules: Sequence[Mapping[str, str]]) -> str:
    """Return the modules of a binder in words: `postgres 15, spark 4.0 (multi-node)`."""
    words = []
    for one in modules:
        mode = f" ({one['mode']})" if one.get("mode") == "multi-node" else ""
        words.append(f"{one['name']} {one['version']}{mode}")
    return ", ".join(words)
