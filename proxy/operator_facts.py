"""What the operator's page tells of the service, read from the store: all lists are bounded, the newest kept.

Tokens, payloads and what visitors are called are not read at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.store.queries import ACTIVE_BUILDS, LIVE_SESSIONS, counts_by_state
from binder.store.tables import Build, Delivery, Report, Repository, Session
from proxy.providers import named_of

MOST_LIVE: Final = 100
MOST_FAILURES: Final = 20
_REPOSITORY: Final = (Repository.host, Repository.owner, Repository.name)


@dataclass(frozen=True)
class Entry:
    """One line: (since) when, what, of which repository, and the reason; `address` is the page that tells more."""

    at: datetime
    what: str
    repository: str = ""
    reason: str = ""
    address: str = ""


@dataclass(frozen=True)
class Overview:
    """The service at one moment. The counts are of all, also where a list is cut off."""

    sessions: Mapping[SessionState, int]
    live_sessions: tuple[Entry, ...]
    failed_sessions: tuple[Entry, ...]
    builds: Mapping[BuildState, int]
    active_builds: tuple[Entry, ...]
    failed_builds: tuple[Entry, ...]
    reports_owed: int
    failed_reports: tuple[Entry, ...]
    deliveries_stored: int
    failed_deliveries: tuple[Entry, ...]


async def overview_of(session: AsyncSession) -> Overview:
    """Return how the service does, by the store."""
    return Overview(
        sessions=await counts_by_state(session, Session, LIVE_SESSIONS),
        live_sessions=await _live_sessions(session),
        failed_sessions=await _failed_sessions(session),
        builds=await counts_by_state(session, Build, ACTIVE_BUILDS),
        active_builds=await _active_builds(session),
        failed_builds=await _failed_builds(session),
        reports_owed=await session.scalar(select(func.count()).where(Report.owed)) or 0,
        failed_reports=await _failed_reports(session),
        deliveries_stored=(await counts_by_state(session, Delivery, (DeliveryState.STORED,)))[DeliveryState.STORED],
        failed_deliveries=await _failed_deliveries(session),
    )


def _of_repository(table: type[Any], *columns: Any) -> Select[Any]:
    return select(*columns, *_REPOSITORY).join(Repository, Repository.id == table.repository_id)


async def _live_sessions(session: AsyncSession) -> tuple[Entry, ...]:
    times = (Session.created_at, Session.opened_at)
    live = _of_repository(Session, Session.id, Session.state, Session.build_id, *times)
    live = live.where(Session.state.in_(LIVE_SESSIONS)).order_by(Session.created_at.desc()).limit(MOST_LIVE)
    return tuple(
        Entry(row.opened_at or row.created_at, f"{row.state} {row.id}", _name(row), address=f"/builds/{row.build_id}")
        for row in await session.execute(live)
    )


async def _failed_sessions(session: AsyncSession) -> tuple[Entry, ...]:
    columns = (Session.id, Session.build_id, Session.reason, Session.ended_at)
    failed = _of_repository(Session, *columns).where(
        Session.state == SessionState.FAILED, Session.ended_at.is_not(None)
    )
    failed = failed.order_by(Session.ended_at.desc()).limit(MOST_FAILURES)
    return tuple(
        Entry(row.ended_at, row.id, _name(row), row.reason or "", f"/builds/{row.build_id}")
        for row in await session.execute(failed)
    )


async def _active_builds(session: AsyncSession) -> tuple[Entry, ...]:
    columns = (Build.id, Build.state, Build.untrusted, Build.queued_at, Build.started_at)
    active = _of_repository(Build, *columns).where(Build.state.in_(ACTIVE_BUILDS))
    return tuple(
        Entry(
            (row.queued_at if row.state is BuildState.QUEUED else row.started_at) or row.queued_at,
            f"{row.state} build {row.id}",
            _name(row),
            "of a fork" if row.untrusted else "",
            f"/builds/{row.id}",
        )
        for row in await session.execute(active.order_by(Build.id.desc()).limit(MOST_LIVE))
    )


async def _failed_builds(session: AsyncSession) -> tuple[Entry, ...]:
    columns = (Build.id, Build.fault, Build.queued_at, Build.finished_at)
    failed = _of_repository(Build, *columns).where(Build.state == BuildState.FAILED)
    return tuple(
        Entry(
            row.finished_at or row.queued_at,
            f"build {row.id}",
            _name(row),
            _words_of_fault(row.fault or {}),
            f"/builds/{row.id}",
        )
        for row in await session.execute(failed.order_by(Build.id.desc()).limit(MOST_FAILURES))
    )


def _words_of_fault(fault: Mapping[str, Any]) -> str:
    return f"{fault['party']}: {fault['message']}" if fault else ""


async def _failed_reports(session: AsyncSession) -> tuple[Entry, ...]:
    columns = (Report.kind, Report.subject, Report.reason, Report.updated_at)
    failed = _of_repository(Report, *columns).where(~Report.owed, Report.reason.is_not(None))
    return tuple(
        Entry(row.updated_at, f"{row.kind} of {row.subject[:10]}", _name(row), row.reason)
        for row in await session.execute(failed.order_by(Report.updated_at.desc()).limit(MOST_FAILURES))
    )


async def _failed_deliveries(session: AsyncSession) -> tuple[Entry, ...]:
    columns = (Delivery.event, Delivery.guid, Delivery.reason, Delivery.received_at)
    failed = select(*columns).where(Delivery.state == DeliveryState.FAILED).order_by(Delivery.id.desc())
    return tuple(
        Entry(row.received_at, f"{row.event} {row.guid}", reason=row.reason or "")
        for row in await session.execute(failed.limit(MOST_FAILURES))
    )


def _name(row: Any) -> str:
    return named_of(Repository(host=row.host, owner=row.owner, name=row.name)).full_name
