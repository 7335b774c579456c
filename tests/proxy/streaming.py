"""What tests of server-sent events share: reading them, and moving builds along."""

import json
from collections.abc import AsyncIterator
from typing import Any

from binder.lifecycle import BuildState
from binder.store.queries import advance_build
from binder.store.tables import Build, utc_now
from proxy.context import ProxyContext
from tests.proxy.rows import IMAGE

Event = tuple[str, dict[str, Any], int]


async def parsed_events(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    """Give the events of a stream: name, data and id."""
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
        elif "event" in fields:
            yield fields["event"], json.loads(fields["data"]), int(fields["id"])
            fields = {}


async def advance(context: ProxyContext, build: Build, *states: BuildState) -> None:
    """Move a build along."""
    for state in states:
        async with context.store.write() as session:
            row = await session.get_one(Build, build.id)
            row.result = {"image": IMAGE}
            advance_build(row, state, utc_now())
