"""Sends GitHub what it is owed, one report at a time: each installation in its turn, of each the most important first.

Owns the repetitions and their end. One that was replaced before it was sent is never sent. How much may be sent is
`buckets`'; how a report is shown, and never twice, is `showing`'s.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from binder.errors import BinderError
from binder.figures import Figures
from binder.log import logger
from binder.store import Store
from binder.store.tables import Installation, Report, Repository, utc_now
from githubapp.buckets import Bucket, Kind, in_turn
from githubapp.faults import GitHubRefusalError, GitHubUnavailableError, pause_seconds
from githubapp.owed import NOT_PERMITTED
from githubapp.showing import GitHub, Owed, show
from githubapp.values import Place

log = logger(__name__)

# Longer than all the calls of one report together may take.
_LEASE_SECONDS = 150.0
# With the pauses in between, some three days: what is older, nobody waits for.
_MOST_ATTEMPTS = 300
_LONGEST_REASON = 1000
# How long a kind of report is not owed any more to a repository that does not permit it.
_REFUSAL_STANDS = timedelta(days=1)
# GitHub tells when an installation is let back; this is for the time before that.
_SUSPENDED = "suspended"
_SUSPENDED_SECONDS = 300.0
# The reports of repositories that no installation covers: they are given up, which costs GitHub nothing.
_NOBODY = 0


class Sender:
    """Takes one report after the other. Several may work side by side, here and in other processes."""

    def __init__(self, store: Store, github: GitHub, figures: Figures | None = None) -> None:
        self._figures = figures or Figures()
        self._store = store
        self._github = github
        self._buckets: dict[int, Bucket] = {}

    async def send_next(self) -> bool:
        """Send the report whose turn it is, and return whether there was one."""
        now = utc_now()
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if not bucket.is_empty(now)}
        for installation, kind in in_turn(await self._waiting(now), self._buckets, now):
            where = and_(_is_due(now), Report.kind == kind, _is_of(installation))
            report = await self._store.claim(Report, where, now=now, lease_seconds=_LEASE_SECONDS)
            if report:
                await self._send(report, installation, kind)
                return True
        return False

    async def _waiting(self, now: datetime) -> dict[int, set[str]]:
        """Return which kinds of report are due: installation → kinds. A suspended installation's wait."""
        is_free = or_(Report.lease_until.is_(None), Report.lease_until < now)
        is_same = and_(Installation.host == Repository.host, Installation.external_id == Repository.installation_id)
        due = (
            select(Repository.installation_id, Report.kind)
            .join(Repository, Repository.id == Report.repository_id)
            .outerjoin(Installation, is_same)
            .where(_is_due(now), is_free, Installation.suspended.is_not(True))
            .distinct()
        )
        waiting: dict[int, set[str]] = {}
        async with self._store.read() as session:
            for installation, kind in await session.execute(due):
                waiting.setdefault(installation or _NOBODY, set()).add(kind)
        return waiting

    async def _send(self, report: Report, installation: int, kind: Kind) -> None:
        owed = await self._begin(report.id)
        if owed is None:
            return
        self._buckets[installation] = self._buckets.get(installation, Bucket()).after(kind, utc_now())
        try:
            remote_id = await show(self._github, owed)
        except BinderError as error:
            self._figures.count("binder_reports", kind=kind, outcome="failed")
            await self._note_failure(owed, error)
        else:
            self._figures.count("binder_reports", kind=kind, outcome="sent")
            await self._note_sent(owed, remote_id)

    async def _begin(self, report_id: int) -> Owed | None:
        """Write down that an attempt is made, before it is; return None where there is nobody to tell."""
        async with self._store.write() as session:
            row = await session.get_one(Report, report_id)
            repository = await session.get_one(Repository, row.repository_id)
            if repository.installation_id is None or repository.external_id is None:
                _give_up(row, "the App is not installed on the repository")
                return None
            row.attempts += 1
            place = Place(repository.installation_id, repository.external_id)
            return Owed(
                row.id,
                row.kind,
                row.subject,
                wanted=dict(row.wanted),
                sent=row.sent,
                place=place,
                remote_id=row.remote_id,
                is_repeated=row.attempts > 1,
            )

    async def _note_sent(self, owed: Owed, remote_id: int | None) -> None:
        async with self._store.write() as session:
            row = await session.get_one(Report, owed.report_id)
            row.sent, row.remote_id = dict(owed.wanted), remote_id
            row.owed = row.wanted != row.sent  # it may have changed while it was sent
            row.attempts, row.reason = 0, None
            _release(row)
        log.info("report_sent", report=owed.kind, subject=owed.subject, state=owed.wanted.get("state"))

    async def _note_failure(self, owed: Owed, error: BinderError) -> None:
        now = utc_now()
        async with self._store.write() as session:
            row = await session.get_one(Report, owed.report_id)
            attempts = max(row.attempts, 1)
            if _is_not_permitted(error):
                await _give_up_kind(session, row, error.message, now + _REFUSAL_STANDS)
            elif _is_for_good(error, attempts) and row.wanted == owed.wanted:
                _give_up(row, error.message)
            else:
                row.not_before = now + timedelta(seconds=pause_seconds(error, attempts))
                row.reason = error.message[:_LONGEST_REASON]
                _release(row)
            if pause := _pause_of_all(error):
                await _put_off_all(session, owed.place, now + timedelta(seconds=pause))
        log.warning("report_not_sent", report=owed.kind, subject=owed.subject, reason=error.message)


def _is_due(now: datetime) -> ColumnElement[bool]:
    return and_(Report.owed, or_(Report.not_before.is_(None), Report.not_before <= now))


def _is_of(installation: int) -> ColumnElement[bool]:
    covers = Repository.installation_id.is_not_distinct_from(None if installation == _NOBODY else installation)
    return Report.repository_id.in_(select(Repository.id).where(covers))


def _is_not_permitted(error: BinderError) -> bool:
    return isinstance(error, GitHubRefusalError) and error.status == 403 and NOT_PERMITTED in error.message


def _is_suspended(error: BinderError) -> bool:
    return isinstance(error, GitHubRefusalError) and error.status == 403 and _SUSPENDED in error.message


def _is_for_good(error: BinderError, attempts: int) -> bool:
    is_refused = isinstance(error, GitHubRefusalError) and not _is_suspended(error)
    return is_refused or attempts >= _MOST_ATTEMPTS


def _pause_of_all(error: BinderError) -> float:
    """Return how long nothing should be sent to the installation, 0 where the error is only of one report."""
    if isinstance(error, GitHubUnavailableError) and error.limited:
        return error.retry_after_seconds
    return _SUSPENDED_SECONDS if _is_suspended(error) else 0.0


async def _give_up_kind(session: AsyncSession, row: Report, reason: str, until: datetime) -> None:
    """Leave all reports of this kind unsent; none of it is owed to the repository `until` then."""
    same = (Report.repository_id == row.repository_id, Report.kind == row.kind, Report.owed)
    changed = {"owed": False, "reason": reason[:_LONGEST_REASON], "not_before": until}
    await session.execute(update(Report).where(*same).values(lease_owner=None, lease_until=None, **changed))


def _give_up(row: Report, reason: str) -> None:
    """Leave a report unsent for good, unless something else is wanted later."""
    row.owed = False
    row.reason = reason[:_LONGEST_REASON]
    _release(row)


def _release(row: Report) -> None:
    row.lease_owner = row.lease_until = None


async def _put_off_all(session: AsyncSession, place: Place, until: datetime) -> None:
    """Have nothing of an installation sent before its rate limit ends."""
    of_installation = select(Repository.id).where(Repository.installation_id == place.installation_id)
    is_earlier = or_(Report.not_before.is_(None), Report.not_before < until)
    where = (Report.owed, Report.repository_id.in_(of_installation), is_earlier)
    await session.execute(update(Report).where(*where).values(not_before=until))
