"""`binder why`: shows what happened to a commit, and why, from the store; the service may run meanwhile."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from binder.build_words import words_of_time
from binder.cli.remote import named_service
from binder.cli.showing import print_json
from binder.settings import read_settings
from binder.store import open_store
from binder.store.commits import MOST_ROWS
from proxy.operator_stories import story_told

_STYLES = {"plain": "", "good": "green", "wrong": "red"}


def tell_why(commit: str, *, repository: str | None, as_json: bool) -> None:
    """Print the story of a commit.

    Raises: VisitorFault, where there is no such commit, or several.
    """
    if service := named_service():
        story = service.ask_now("GET", "/api/why", commit=commit, repository=repository)
    else:
        story = asyncio.run(_stored(commit, repository))
    if as_json:
        print_json(story)
    else:
        _show(Console(), story)


async def _stored(commit: str, repository: str | None) -> Mapping[str, Any]:
    async with open_store(read_settings().store_url) as store:
        return await story_told(store, commit, repository)


def _show(console: Console, story: Mapping[str, Any]) -> None:
    console.print(f"{story['repository']} ({story['host']})  {story['sha']}", markup=False, highlight=False)
    if not story["is_whole"]:
        console.print(f"Older events are left out: of each kind, the newest {MOST_ROWS} are read.", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("UTC", no_wrap=True)
    table.add_column("after", no_wrap=True, justify="right")
    table.add_column("what")
    table.add_column("of", style="dim", overflow="fold")
    for event in story["events"]:
        after = "" if event["after_seconds"] is None else words_of_time(event["after_seconds"])
        what = Text(event["what"], style=f"bold {_STYLES.get(event['tone'], '')}")
        for detail in event["details"]:
            what.append(f"\n{detail}", style="not bold default")
        at = datetime.fromisoformat(event["at"])
        table.add_row(f"{at:%Y-%m-%d %H:%M:%S}", after, what, Text(event["reference"]))
    console.print(table)
