"""Waits for builds and sessions, and shows how far they are: on a terminal, on standard error; else nothing."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from binder.cli.remote import fault_in
from binder.cli.service import Service
from binder.errors import BinderError, OperatorFault, RepositoryFault, WorldFault
from binder.lifecycle import BuildState, SessionState, is_final

_POLL_SECONDS = 0.5
_LONGEST_SECONDS = 4 * 3600
_START_SECONDS = 1800
_TAIL_LINES = 20


class Progress:
    """One line on a terminal that says what is going on; where there is no terminal, nothing is said."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._status: Status | None = None

    @asynccontextmanager
    async def shown(self) -> AsyncIterator["Progress"]:
        """Show it while the block runs."""
        if not self._console.is_terminal:
            yield self
            return
        with self._console.status("…") as self._status:
            yield self

    def say(self, text: str) -> None:
        """Say what is going on."""
        if self._status:
            room = max(20, self._console.width - 4)
            self._status.update(escape("".join(one if one.isprintable() else " " for one in text)[:room]))


async def followed_build(service: Service, build: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Wait for the end of a build, and return how it ended.

    Raises: BinderError, where nothing is known of it any more.
    """
    number, offset, last = build["build"], 0, ""
    async with _within(_LONGEST_SECONDS, f"Build {number}"):
        while True:
            row: dict[str, Any] = await service.ask("GET", f"/api/builds/{number}")
            if is_final(BuildState(row["state"])):
                return row
            answer = await service.read(f"/api/builds/{number}/log", **{"from": offset})
            offset = int(answer.headers.get("next-offset", offset))
            last = (answer.text.splitlines() or [last])[-1]
            progress.say(f"{row['repository']} {row['sha'][:7]}: {row['state']}  {last}")
            await asyncio.sleep(_POLL_SECONDS)


async def started_session(service: Service, session_id: str, progress: Progress) -> dict[str, Any]:
    """Wait until a session that was deployed is open, and return it.

    Raises: OperatorFault, with why it is not.
    """
    async with _within(_START_SECONDS, f"Session {session_id}"):
        while True:
            row: dict[str, Any] = await service.ask("GET", f"/api/sessions/{session_id}")
            if row["state"] == SessionState.OPEN:
                return row
            if is_final(SessionState(row["state"])):
                raise OperatorFault(f"Session {session_id} did not start: {row['reason'] or 'it gave no reason.'}")
            progress.say(f"{row['repository']} {row['sha'][:7]}: the session is {row['state']}")
            await asyncio.sleep(_POLL_SECONDS)


async def fault_of(service: Service, build: Mapping[str, Any]) -> BinderError | None:
    """Return what was wrong with a build that has ended, None where it succeeded; the end of its log is shown."""
    if build["state"] == BuildState.SUCCEEDED:
        return None
    if sys.stderr.isatty() or build["state"] == BuildState.FAILED:
        typer.echo(await _tail(service, build["build"]), err=True)
    fault = build["fault"] or {"party": "operator", "message": f"Build {build['build']} was {build['state']}."}
    error = fault_in(fault)
    if isinstance(error, RepositoryFault) and error.place:
        return RepositoryFault(f"{error.place}: {error.message}", file=error.file, line=error.line, step=error.step)
    return error


async def _tail(service: Service, number: int) -> str:
    lines: list[str] = []
    offset = 0
    while True:
        answer = await service.read(f"/api/builds/{number}/log", **{"from": offset})
        lines = [*lines, *answer.text.splitlines()][-_TAIL_LINES:]
        following = int(answer.headers.get("next-offset", offset))
        if following <= offset:
            return "\n".join(lines)
        offset = following


@asynccontextmanager
async def _within(seconds: float, what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise WorldFault(f"{what} was not done within {seconds / 3600:.1f} h; it goes on.") from error
