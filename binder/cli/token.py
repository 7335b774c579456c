"""`binder token`: tokens of the operator's API, on the store of this machine's settings."""

import asyncio
from datetime import timedelta
from typing import Any

import typer

from binder.cli.remote import named_service
from binder.cli.showing import ago, print_json, print_table
from binder.errors import VisitorFault
from binder.settings import read_settings
from binder.store import open_store
from binder.store.api_tokens import add_token, remove_token, tokens
from binder.store.tables import ApiToken, utc_now

_LONGEST_NAME = 100


def work_on_tokens(name: str | None, *, show: bool, remove: bool, days: float | None, as_json: bool) -> None:
    """Make a token, remove one, or show which there are.

    Raises: VisitorFault.
    """
    if named_service():
        raise VisitorFault("Tokens are made where the service's store is: unset BINDER_TOKEN, and run this there.")
    if show:
        _show([*asyncio.run(_stored())], as_json=as_json)
        return
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise VisitorFault(f"Say what the token is for, in at most {_LONGEST_NAME} characters: `binder token laptop`.")
    if remove:
        if not asyncio.run(_remove(name)):
            raise VisitorFault(f"There is no token {name!r}. `binder token --list` shows those that there are.")
        typer.echo(f"{name} opens nothing any more.")
        return
    token = asyncio.run(_make(name, days))
    if token is None:
        raise VisitorFault(f"There is a token {name!r} already. Remove it, or choose another name.")
    if as_json:
        print_json({"name": name, "token": token})
        return
    typer.echo(token)
    typer.echo("It is shown this once. Give it to `binder` elsewhere as BINDER_TOKEN, beside BINDER_URL.", err=True)


def _show(rows: list[ApiToken], *, as_json: bool) -> None:
    items: list[dict[str, Any]] = [
        {"name": row.name, "made_at": row.made_at.isoformat(), "ends_at": row.ends_at and row.ends_at.isoformat()}
        for row in rows
    ]
    if as_json:
        print_json(items)
    else:
        cells = [(item["name"], ago(item["made_at"]), item["ends_at"]) for item in items]
        print_table(("name", "age", "good until"), cells, nothing="There is no token.")


async def _stored() -> list[ApiToken]:
    async with open_store(read_settings().store_url) as store, store.read() as session:
        return [*await tokens(session)]


async def _remove(name: str) -> bool:
    async with open_store(read_settings().store_url) as store, store.write() as session:
        return await remove_token(session, name)


async def _make(name: str, days: float | None) -> str | None:
    now = utc_now()
    ends_at = None if days is None else now + timedelta(days=min(days, 36500))
    async with open_store(read_settings().store_url) as store, store.write() as session:
        return await add_token(session, name, now, ends_at)
