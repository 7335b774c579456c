"""`/alive` and `/health`: whether a part of the service lives, and whether it can do its work, for whoever runs it.

A part that is alive and does not do well is best left alone: where the store does not answer, a new one would find it
no sooner. It only gets no new visitors meanwhile.
"""

from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from binder.errors import BinderError
from binder.store import Store
from binder.store.tables import Repository

Check = Callable[[], Awaitable[object]]
"""Raises a BinderError where something is not as it should be."""

_HEADERS = {"Cache-Control": "no-store"}


class Health:
    """Answers for one part; `checks` are what it depends on, by name."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks

    def routes(self) -> list[BaseRoute]:
        """Return the routes of these answers."""
        return [Route("/alive", self.alive), Route("/health", self.health)]

    async def alive(self, _: Request) -> Response:
        """Say that this process answers, and nothing else."""
        return JSONResponse({"ok": True}, headers=_HEADERS)

    async def health(self, _: Request) -> Response:
        """Say whether all that it depends on answers: 200 or 503."""
        checks = [{"service": name, "ok": await _is_well(check)} for name, check in self._checks.items()]
        ok = all(check["ok"] for check in checks)
        return JSONResponse({"ok": ok, "checks": checks}, 200 if ok else 503, _HEADERS)


async def _is_well(check: Check) -> bool:
    try:
        await check()
    except BinderError:
        return False
    return True


async def check_store(store: Store) -> None:
    """Have the store answer.

    Raises: StoreUnavailableError.
    """
    async with store.read() as session:
        await session.execute(select(Repository.id).limit(1))
