"""`/metrics`: how the service does, for Prometheus: what the store holds, and what was counted (`binder.figures`).

Only who has the operator's token may ask: behind a proxy of the operator's, all visitors come from one address, so that
addresses tell nobody apart. No name of a repository is in it.
"""

import asyncio
import secrets
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import func, select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from binder.errors import VisitorFault
from binder.figures import Counted, Figures
from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.settings import Settings
from binder.store.queries import counts_by_state
from binder.store.tables import Build, Delivery, Report, Session, utc_now
from proxy.context import ProxyContext

_STATES: Final[Sequence[tuple[Counted, type[Any], type[StrEnum]]]] = tuple(
    (Counted(name, text, {"state": tuple(states)}, is_gauge=True), table, states)
    for name, text, table, states in (
        ("binder_builds", "Builds of all time, by state.", Build, BuildState),
        (
            "binder_sessions",
            "Sessions of all time, by state: standby is the pool, open are in use.",
            Session,
            SessionState,
        ),
        ("binder_deliveries", "GitHub's deliveries of all time, by state.", Delivery, DeliveryState),
    )
)
_NOW: Final[Mapping[str, str]] = {
    "binder_reports_owed": "What GitHub is still to be told.",
    "binder_queue_length": "Visitors who wait for a free place.",
    "binder_build_queue_seconds": "How long the build that waits longest has waited.",
    "binder_delivery_queue_seconds": "How long the delivery that waits longest has waited to be acted on.",
    "binder_sessions_at_most": "Sessions that may run at once.",
    "binder_standbys_at_most": "Standbys that are started before a click.",
    "binder_builds_at_once": "Builds that may run side by side.",
    "binder_cache_free_bytes": "What is free on the disk of images and packages.",
}
LOOKED_AT: Final[Sequence[Counted]] = (
    *(one for one, _, _ in _STATES),
    *(Counted(name, text, is_gauge=True) for name, text in _NOW.items()),
)
"""What is looked up whenever Prometheus asks, and the same wherever it does, but for the queue and the disk."""

_HEADERS: Final = {"Cache-Control": "no-store"}


class Metrics:
    """Answers Prometheus."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context

    def routes(self) -> list[BaseRoute]:
        """Return the route of the metrics."""
        return [Route("/metrics", self.metrics)]

    async def metrics(self, request: Request) -> Response:
        """Give the metrics to who has the token; to all others they do not exist."""
        if not _has_token(request, self._context.settings):
            raise VisitorFault("There is nothing at this address.")
        return Response(await self._drawn(), 200, _HEADERS, CONTENT_TYPE_LATEST)

    async def _drawn(self) -> bytes:
        registry, now, settings = CollectorRegistry(), utc_now(), self._context.settings
        async with self._context.store.read() as session:
            for one, table, states in _STATES:
                gauge = Gauge(one.name, one.text, ["state"], registry=registry)
                for state, count in (await counts_by_state(session, table, states)).items():
                    gauge.labels(state.value).set(count)
            owed = await session.scalar(select(func.count()).where(Report.owed))
            build = await session.scalar(select(func.min(Build.queued_at)).where(Build.state == BuildState.QUEUED))
            waits = Delivery.state == DeliveryState.STORED
            delivery = await session.scalar(select(func.min(Delivery.received_at)).where(waits))
        values: Mapping[str, float] = {
            "binder_reports_owed": owed or 0,
            "binder_queue_length": self._context.queue.length(now),
            "binder_build_queue_seconds": _since(build, now),
            "binder_delivery_queue_seconds": _since(delivery, now),
            "binder_sessions_at_most": settings.sessions_at_most,
            "binder_standbys_at_most": settings.standbys_at_most,
            "binder_builds_at_once": settings.builds_at_once,
            "binder_cache_free_bytes": (await asyncio.to_thread(shutil.disk_usage, self._context.paths.cache)).free,
        }
        for name, text in _NOW.items():
            Gauge(name, text, registry=registry).set(values[name])
        return generate_latest(registry) + generate_latest(self._context.figures.registry)


class OwnFigures:
    """Answers Prometheus for a part that has no pages: with what it has counted itself, and nothing of the store."""

    def __init__(self, figures: Figures, settings: Settings) -> None:
        self._figures = figures
        self._settings = settings

    def routes(self) -> list[BaseRoute]:
        """Return the route of the metrics."""
        return [Route("/metrics", self.metrics)]

    async def metrics(self, request: Request) -> Response:
        """Give the metrics to who has the token; to all others they do not exist."""
        if not _has_token(request, self._settings):
            return Response(status_code=404)
        return Response(generate_latest(self._figures.registry), 200, _HEADERS, CONTENT_TYPE_LATEST)


def _since(begin: datetime | None, now: datetime) -> float:
    return max(0.0, (now - begin).total_seconds()) if begin else 0.0


def _has_token(request: Request, settings: Settings) -> bool:
    wanted = settings.metrics_token.get_secret_value()
    brought = request.headers.get("authorization", "").removeprefix("Bearer ")
    return bool(wanted) and secrets.compare_digest(brought.encode(), wanted.encode())
