"""`binder logs`: the log of a build, or what a session or its service last said, and with `-f` what comes."""

import asyncio

import typer

from binder.cli.service import Service, chosen_service, with_engine
from binder.errors import VisitorFault
from binder.lifecycle import SessionState, is_final
from binder.names import is_session_id

_POLL_SECONDS = 1.0
_LONGEST_SECONDS = 24 * 3600


def print_log(what: str, service: str, *, follow: bool) -> None:
    """Print a log.

    Raises: BinderError.
    """
    asyncio.run(_print(what, service, follow=follow))


async def _print(what: str, named: str, *, follow: bool) -> None:
    async with asyncio.timeout(_LONGEST_SECONDS), chosen_service() as service:
        if what.isascii() and what.isdigit():
            if named:
                raise VisitorFault("A build has no services: with --service, give the id of a session.")
            await _of_build(service, what, follow=follow)
        elif is_session_id(what):
            async with with_engine(service):
                await _of_session(service, what, named, follow=follow)
        else:
            raise VisitorFault(f"{what!r} is neither the number of a build nor the id of a session: see `binder list`.")


async def _of_build(service: Service, number: str, *, follow: bool) -> None:
    offset = 0
    while True:
        answer = await service.read(f"/api/builds/{number}/log", **{"from": offset})
        following = int(answer.headers["next-offset"])
        typer.echo(answer.text, nl=False)
        if answer.headers["is-over"] == "1" or (following == offset and not follow):
            return
        if following == offset:
            await asyncio.sleep(_POLL_SECONDS)
        offset = following


async def _of_session(service: Service, session_id: str, named: str, *, follow: bool) -> None:
    """Print what an engine keeps of a session's log: its last lines, so that what is new is what follows the old."""
    shown: list[str] = []
    while True:
        answer = await service.read(f"/api/sessions/{session_id}/log", service=named)
        lines = answer.text.splitlines()
        for line in lines[overlap(shown, lines) :]:
            typer.echo(line)
        shown = lines or shown
        if not follow or is_final(SessionState(answer.headers["state"])):
            return
        await asyncio.sleep(_POLL_SECONDS)


def overlap(before: list[str], now: list[str]) -> int:
    """Return how many of the first lines of `now` are the last ones of `before`. Pure."""
    return next((size for size in range(min(len(before), len(now)), 0, -1) if before[-size:] == now[:size]), 0)
