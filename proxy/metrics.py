"""`/metrics`: how the service does, for Prometheus, drawn from the store when it is asked for.

Only who has the operator's token may ask: behind a proxy of the operator's, all visitors come from one address, so that
addresses tell nobody apart. No name of a repository is in it.
"""

import secrets
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import func, select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from binder.errors import VisitorFault
from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.store.queries import counts_by_state
from binder.store.tables import Build, Delivery, Report, Session
from proxy.context import ProxyContext

_COUNTED: Final[Sequence[tuple[str, str, type[Any], type[StrEnum]]]] = (
    ("binder_builds", "Builds of all time, by state.", Build, BuildState),
    ("binder_sessions", "Sessions of all time, by state: standby is the pool, open are in use.", Session, SessionState),
    ("binder_deliveries", "GitHub's deliveries of all time, by state.", Delivery, DeliveryState),
)


class Metrics:
    """Answers Prometheus."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context

    def routes(self) -> list[BaseRoute]:
        """Return the route of the metrics."""
        return [Route("/metrics", self.metrics)]

    async def metrics(self, request: Request) -> Response:
        """Give the metrics to who has the token; to all others they do not exist."""
        wanted = self._context.settings.metrics_token.get_secret_value()
        brought = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not wanted or not secrets.compare_digest(brought.encode(), wanted.encode()):
            raise VisitorFault("There is nothing at this address.")
        return Response(await self._drawn(), 200, {"Cache-Control": "no-store"}, CONTENT_TYPE_LATEST)

    async def _drawn(self) -> bytes:
        registry = CollectorRegistry()
        async with self._context.store.read() as session:
            for name, text, table, states in _COUNTED:
                gauge = Gauge(name, text, ["state"], registry=registry)
                for state, count in (await counts_by_state(session, table, states)).items():
                    gauge.labels(state.value).set(count)
            owed = await session.scalar(select(func.count()).where(Report.owed))
        Gauge("binder_reports_owed", "What GitHub is still to be told.", registry=registry).set(owed or 0)
        at_most = Gauge("binder_sessions_at_most", "Sessions that may run at once.", registry=registry)
        at_most.set(self._context.settings.sessions_at_most)
        return generate_latest(registry)
