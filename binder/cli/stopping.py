"""`binder stop`: one session, those that nobody uses, or all of them."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import typer

from binder.cli.service import chosen_service, remove_pods
from binder.cli.showing import print_json
from binder.errors import VisitorFault


def stop_sessions(session_id: str | None, *, inactive_since_minutes: float | None, yes: bool, as_json: bool) -> None:
    """Stop sessions, having asked where they are many, and print their ids.

    Raises: BinderError.
    """
    if session_id is not None:
        asked: Mapping[str, Any] = {"session": session_id}
    elif inactive_since_minutes is not None:
        asked = {"inactive_minutes": inactive_since_minutes}
    else:
        asked = {"all": True}
    stopped = asyncio.run(_stop(asked, is_sure=yes or session_id is not None))
    if as_json:
        print_json(stopped)
    else:
        typer.echo("\n".join(f"{one} is stopped." for one in stopped) or "No such session runs.")


async def _stop(asked: Mapping[str, Any], *, is_sure: bool) -> list[str]:
    async with chosen_service() as service:
        if not is_sure:
            there = (await service.ask("POST", "/api/stop", {**asked, "dry_run": True}))["sessions"]
            if not there:
                return []
            _ask(len(there))
        stopped: list[str] = (await service.ask("POST", "/api/stop", asked))["sessions"]
        await remove_pods(service, stopped)
        return stopped


def _ask(count: int) -> None:
    """Go on only if a person says yes.

    Raises: VisitorFault, where there is nobody to be asked; Abort.
    """
    if not sys.stdin.isatty():
        raise VisitorFault(f"This stops {count} sessions, and nobody is here to be asked: say --yes.")
    typer.confirm(f"Stop {count} sessions? What was changed in them is lost.", abort=True, err=True)
