"""Traces of pushes, an optional extra (`binder[traces]`): one for each build, from its delivery to its status.

Laid out of rows once they have come to their end, by a loop of the one controller that works. So a trace is one across
processes and restarts: its id is that of the build's row. Nothing is traced, and nothing of it imported, unless
`OTEL_EXPORTER_OTLP_ENDPOINT` is set; all else that OpenTelemetry's own `OTEL_…` variables say holds, too.

Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.errors import OperatorFault
from binder.lifecycle import BuildState
from binder.stages import Unfinished
from binder.store import Store
from binder.store.queries import ACTIVE_BUILDS
from binder.store.tables import Build, Decision, Delivery, Report, Repository, Session, utc_now

_EVERY_SECONDS: Final = 5.0
_MOST_PENDING: Final = 1000
# For how long a trace waits for GitHub to have been told.
_REPORTED_WITHIN: Final = timedelta(seconds=60)
_VARIABLE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass(frozen=True)
class Span:
    """A part of what happened, with its parts. `fault` is why it failed."""

    name: str
    begin: datetime
    end: datetime
    attributes: Mapping[str, str | int]
    parts: tuple["Span", ...] = ()
    fault: str | None = None


@dataclass(frozen=True)
class Push:
    """What rows say of one: its build and repository; its delivery, first session and status, as far as there are."""

    build: Build
    repository: Repository
    delivery: Delivery | None = None
    session: Session | None = None
    report: Report | None = None

    @property
    def told_at(self) -> datetime | None:
        """When GitHub had been told how it ended."""
        report, ended_at = self.report, self.build.finished_at
        if report is None or ended_at is None or report.owed or not report.sent:
            return None
        return report.updated_at if report.updated_at >= ended_at else None  # what was told before is not the end


class Exporter(Protocol):
    """Takes traces."""

    def send(self, trace_id: int, root: Span) -> None:
        """Take a trace; it is sent later, and lost where that fails."""
        ...


def trace_id_of(instance: str, build_id: int) -> int:
    """Return the id of a build's trace, the same for whoever asks. Pure."""
    return int.from_bytes(hashlib.sha256(f"{instance} build {build_id}".encode()).digest()[:16], "big")


def span_of(push: Push) -> Span:
    """Return what happened, as a tree. Pure."""
    build, finished_at = push.build, push.build.finished_at or push.build.queued_at
    parts = tuple(_parts_of(push, finished_at))
    fault = build.fault or {}
    attributes: dict[str, str | int] = {
        "binder.build": build.id,
        "binder.repository": push.repository.full_name,
        "binder.commit": build.sha,
        "binder.state": build.state.value,
        "binder.way": str((build.result or {}).get("way") or ""),
        "binder.party": str(fault.get("party") or ""),
    }
    begin = min([build.queued_at, *(part.begin for part in parts)])
    end = max([finished_at, *(part.end for part in parts)])
    known = {name: value for name, value in attributes.items() if value != ""}
    return Span("push", begin, end, known, parts, fault.get("message") if build.state is BuildState.FAILED else None)


def _parts_of(push: Push, finished_at: datetime) -> Iterator[Span]:
    build, delivery, session = push.build, push.delivery, push.session
    if delivery and delivery.acted_at:
        said: dict[str, str | int] = {"binder.delivery": delivery.guid, "binder.event": delivery.event}
        yield Span("delivery", delivery.received_at, delivery.acted_at, said)
    if build.started_at is None:
        return
    yield Span("queue", build.queued_at, build.started_at, {})
    made_at = max(build.started_at, session.created_at) if session else finished_at
    yield Span("build", build.started_at, made_at, {}, tuple(_phases_of(build, build.started_at)))
    if session:
        yield Span("check", made_at, max(made_at, finished_at), {"binder.session": session.id})
    if told_at := push.told_at:
        yield Span("report", finished_at, max(finished_at, told_at), {"binder.report": "status"})


def _phases_of(build: Build, begin: datetime) -> Iterator[Span]:
    """Give the phases one behind the other: so they were, with moments in between that nobody measured."""
    for phase, seconds in ((build.result or {}).get("seconds") or {}).items():
        end = begin + timedelta(seconds=float(seconds))
        yield Span(f"build {phase}", begin, end, {})
        begin = end


class Traces:
    """Looks every few seconds for builds that have ended, and exports their traces once GitHub was told of them."""

    def __init__(self, store: Store, exporter: Exporter, instance: str) -> None:
        self._store = store
        self._exporter = exporter
        self._instance = instance
        self._due_at = 0.0
        self._builds = Unfinished()
        self._pending: dict[int, datetime] = {}

    async def step(self) -> bool:
        """Look; there is never more to do at once."""
        if time.monotonic() < self._due_at:
            return False
        await self.look(utc_now())
        self._due_at = time.monotonic() + _EVERY_SECONDS
        return False

    async def look(self, now: datetime) -> None:
        """Export what has come to its end.

        Raises: StoreUnavailableError.
        """
        at_work = select(Build.id).where(Build.state.in_(ACTIVE_BUILDS))
        async with self._store.read() as session:
            for row in await self._builds.ended(session, Build, at_work, select(Build.id)):
                if len(self._pending) < _MOST_PENDING:
                    self._pending[row[0]] = now + _REPORTED_WITHIN
            pushes = [await _read(session, build_id) for build_id in self._pending]
        for push in pushes:
            if push.told_at or now >= self._pending[push.build.id]:
                del self._pending[push.build.id]
                self._exporter.send(trace_id_of(self._instance, push.build.id), span_of(push))


async def _read(session: AsyncSession, build_id: int) -> Push:
    build = await session.get_one(Build, build_id)
    repository = await session.get_one(Repository, build.repository_id)
    same = and_(Decision.repository_id == build.repository_id, Decision.sha == build.sha)
    caused = (
        select(Delivery).join(Decision, Decision.delivery_id == Delivery.id).where(same, Decision.outcome == "build")
    )
    first = select(Session).where(Session.build_id == build_id).order_by(Session.created_at).limit(1)
    status = select(Report).where(
        Report.repository_id == build.repository_id, Report.kind == "status", Report.subject == build.sha
    )
    return Push(
        build,
        repository,
        (await session.scalars(caused.order_by(Delivery.id.desc()).limit(1))).first(),
        (await session.scalars(first)).first(),
        (await session.scalars(status)).first(),
    )


def are_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether traces are to be sent anywhere."""
    return bool(environment.get(_VARIABLE))


@asynccontextmanager
async def opened_exporter() -> AsyncIterator[Exporter]:
    """Give what sends traces to where OpenTelemetry's variables say; what waits is sent at the end, for some seconds.

    Raises: OperatorFault, where the extra is not installed.
    """
    try:
        from binder.otlp import OtlpExporter  # noqa: PLC0415 - an extra, and only where it is wanted
    except ImportError as error:
        raise OperatorFault(
            f"{_VARIABLE} is set, and OpenTelemetry is not installed: `uv pip install 'binder[traces]'`, or unset it."
        ) from error
    exporter = OtlpExporter()
    try:
        yield exporter
    finally:
        await asyncio.to_thread(exporter.close)


def nanoseconds(moment: datetime) -> int:
    """Return a time as OpenTelemetry counts it."""
    return round(moment.timestamp() * 1e6) * 1000
