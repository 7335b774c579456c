"""The operator's page: what runs, waits and failed, and how much room is left. To all others it does not exist."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from binder.build_words import words_of_size, words_of_time
from binder.lifecycle import SessionState
from binder.store.tables import utc_now
from proxy.access import Access
from proxy.answers import html
from proxy.context import ProxyContext
from proxy.faults import NotVisibleError
from proxy.operator_facts import MOST_FAILURES, MOST_LIVE, overview_of
from proxy.viewers import is_operator


@dataclass(frozen=True)
class Disk:
    """A folder's disk, in words; `is_short` where builds are stopped for lack of room."""

    folder: str
    free: str
    total: str
    is_short: bool


class OperatorPages:
    """Shows operators how the service does."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._access = Access(context)

    def routes(self) -> list[BaseRoute]:
        """Return the route of the operator's page."""
        return [Route("/operator", self.operator)]

    async def operator(self, request: Request) -> Response:
        """Show how the service does, to its operators."""
        settings, paths = self._context.settings, self._context.paths
        if not is_operator(await self._access.viewer(request), settings.operators):
            raise NotVisibleError("There is nothing at this address that you may see.")
        async with self._context.store.read() as session:
            overview = await overview_of(session)
        reserve = settings.disk_reserve_bytes
        disks = [
            await asyncio.to_thread(disk_of, "Cache", paths.cache, reserve),
            await asyncio.to_thread(disk_of, "State", paths.state, 0),
        ]
        now = utc_now()
        return html(
            "operator.html",
            overview=overview,
            standbys=overview.sessions[SessionState.STANDBY],
            standbys_at_most=settings.standbys_at_most,
            places=settings.sessions_at_most,
            taken=sum(overview.sessions.values()),
            disks=disks,
            reserve=words_of_size(reserve),
            now=now,
            age=lambda at: words_of_time(max(0.0, (now - at).total_seconds())),
            most_live=MOST_LIVE,
            most_failures=MOST_FAILURES,
        )


def disk_of(name: str, folder: Path, reserve_bytes: int) -> Disk:
    """Return how full the disk of a folder is; below `reserve_bytes` of free room it is short."""
    usage = shutil.disk_usage(folder)
    return Disk(name, words_of_size(usage.free), words_of_size(usage.total), usage.free < reserve_bytes)
