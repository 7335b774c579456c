"""`binder why`: shows what happened to a commit, and why, from the store; the service may run meanwhile."""

import asyncio
import json
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.build_words import words_of_time
from binder.errors import VisitorFault
from binder.names import is_repository
from binder.settings import read_settings
from binder.store import open_store
from binder.store.commits import MOST_FOUND, MOST_ROWS, Commit, CommitRows, find_commits, prefix_of, rows_of
from binder.store.tables import Repository
from binder.story import Event, story_of

_STYLES = {"plain": "", "good": "green", "wrong": "red"}


def tell_why(commit: str, *, repository: str | None, as_json: bool) -> None:
    """Print the story of a commit.

    Raises: VisitorFault, where there is no such commit, or several.
    """
    rows = asyncio.run(_read(commit, repository))
    events = story_of(rows)
    if as_json:
        typer.echo(json.dumps(_values(rows, events), indent=2))
    else:
        _show(Console(), rows, events)


async def _read(commit: str, repository: str | None) -> CommitRows:
    prefix = prefix_of(commit)
    if prefix is None:
        raise VisitorFault(f"{commit!r} is no commit: give its sha, or at least the first 7 letters of it.")
    async with open_store(read_settings().store_url) as store, store.read() as session:
        ids = await _repositories(session, repository) if repository else None
        found = await find_commits(session, prefix, ids)
        if len(found) != 1:
            raise VisitorFault(_not_one(prefix, repository, found))
        return await rows_of(session, found[0])


async def _repositories(session: AsyncSession, full_name: str) -> Sequence[int]:
    owner, _, name = full_name.partition("/")
    if not is_repository(owner, name):
        raise VisitorFault(f"{full_name!r} is no repository: give it as OWNER/NAME.")
    same = (func.lower(Repository.owner) == owner.lower(), func.lower(Repository.name) == name.lower())
    return (await session.scalars(select(Repository.id).where(*same))).all()


def _not_one(prefix: str, repository: str | None, found: Sequence[Commit]) -> str:
    if not found:
        of_it = f" of {repository}" if repository else ""
        return (
            f"Nothing is stored about a commit {prefix}{of_it}: no delivery of it was acted on, and nobody opened it. "
            "Was its push delivered? GitHub shows that in the App's settings, under Advanced."
        )
    more = " The first ones:" if len(found) == MOST_FOUND else ""
    lines = "".join(f"\n  {one.sha}  {one.repository.full_name} ({one.repository.host})" for one in found)
    return f"Several commits begin with {prefix}: give more letters, or --repository.{more}{lines}"


def _values(rows: CommitRows, events: Sequence[Event]) -> dict[str, object]:
    return {
        "host": rows.commit.repository.host,
        "repository": rows.commit.repository.full_name,
        "sha": rows.commit.sha,
        "is_whole": rows.is_whole,
        "events": [
            {
                "at": event.at.isoformat(),
                "after_seconds": event.after_seconds,
                "kind": event.kind,
                "what": event.what,
                "details": event.details,
                "tone": event.tone,
                "reference": event.reference,
            }
            for event in events
        ],
    }


def _show(console: Console, rows: CommitRows, events: Sequence[Event]) -> None:
    repository = rows.commit.repository
    console.print(f"{repository.full_name} ({repository.host})  {rows.commit.sha}", markup=False, highlight=False)
    if not rows.is_whole:
        console.print(f"Older events are left out: of each kind, the newest {MOST_ROWS} are read.", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("UTC", no_wrap=True)
    table.add_column("after", no_wrap=True, justify="right")
    table.add_column("what")
    table.add_column("of", style="dim", overflow="fold")
    for event in events:
        after = "" if event.after_seconds is None else words_of_time(event.after_seconds)
        what = Text(event.what, style=f"bold {_STYLES[event.tone]}")
        for detail in event.details:
            what.append(f"\n{detail}", style="not bold default")
        table.add_row(f"{event.at:%Y-%m-%d %H:%M:%S}", after, what, Text(event.reference))
    console.print(table)
