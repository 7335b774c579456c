"""Sends GitHub what it is owed, one report at a time, the statuses first.

Owns the repetitions and their end. None is sent twice: where an attempt before this one may have had its effect, GitHub
is asked first. One that was replaced before it was sent is never sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from binder.errors import BinderError
from binder.log import logger
from binder.store import Store
from binder.store.tables import Report, Repository, utc_now
from githubapp.faults import GitHubRefusalError, GitHubUnavailableError, pause_seconds
from githubapp.reports import COMMENT_MARKER
from githubapp.values import Place, Status

log = logger(__name__)

# Longer than all the calls of one report together may take.
_LEASE_SECONDS = 150.0
# With the pauses in between, some three days: what is older, nobody waits for.
_MOST_ATTEMPTS = 300
_LONGEST_REASON = 1000


class Statuses(Protocol):
    """Where statuses are shown."""

    async def latest_status(self, place: Place, sha: str, context: str) -> Status | None:
        """Return the status that a commit shows in a context, or None."""

    async def post_status(self, place: Place, sha: str, status: Status) -> None:
        """Show a status at a commit."""


class Comments(Protocol):
    """Where comments are shown."""

    async def find_comment(self, place: Place, number: int, marker: str) -> int | None:
        """Return the number of our own comment that begins with `marker`, or None."""

    async def create_comment(self, place: Place, number: int, body: str) -> int:
        """Comment on a pull request and return the comment's number."""

    async def edit_comment(self, place: Place, number: int, comment_id: int, body: str) -> None:
        """Put another text into a comment of ours."""


class GitHub(Statuses, Comments, Protocol):
    """What is told to GitHub here."""


@dataclass(frozen=True)
class _Owed:
    """A report as it is sent; `is_repeated` where an attempt before may have had its effect."""

    report_id: int
    kind: str
    subject: str
    wanted: Mapping[str, Any]
    place: Place
    remote_id: int | None
    is_repeated: bool


class Sender:
    """Takes one report after the other. Several may work side by side, here and in other processes."""

    def __init__(self, store: Store, github: GitHub) -> None:
        self._store = store
        self._github = github

    async def send_next(self) -> bool:
        """Send the report that is owed the longest, and return whether there was one."""
        now = utc_now()
        is_due = or_(Report.not_before.is_(None), Report.not_before <= now)
        for kind in ("status", "comment"):
            where = and_(Report.owed, Report.kind == kind, is_due)
            report = await self._store.claim(Report, where, now=now, lease_seconds=_LEASE_SECONDS)
            if report:
                await self._send(report)
                return True
        return False

    async def _send(self, report: Report) -> None:
        owed = await self._begin(report.id)
        if owed is None:
            return
        try:
            remote_id = await (self._show_status(owed) if owed.kind == "status" else self._show_comment(owed))
        except BinderError as error:
            await self._note_failure(owed, error)
        else:
            await self._note_sent(owed, remote_id)

    async def _begin(self, report_id: int) -> _Owed | None:
        """Write down that an attempt is made, before it is; return None where there is nobody to tell."""
        async with self._store.write() as session:
            row = await session.get_one(Report, report_id)
            repository = await session.get_one(Repository, row.repository_id)
            if repository.installation_id is None or repository.external_id is None:
                _give_up(row, "the App is not installed on the repository")
                return None
            row.attempts += 1
            place = Place(repository.installation_id, repository.external_id)
            return _Owed(
                row.id, row.kind, row.subject, dict(row.wanted), place, row.remote_id, is_repeated=row.attempts > 1
            )

    async def _show_status(self, owed: _Owed) -> None:
        status = Status.from_wanted(owed.wanted)
        shown = None
        if owed.is_repeated:
            shown = await self._github.latest_status(owed.place, owed.subject, status.context)
        if shown != status:
            await self._github.post_status(owed.place, owed.subject, status)

    async def _show_comment(self, owed: _Owed) -> int | None:
        """Show a comment and return its number, None where there is none to edit and none is to be written.

        One that a person deleted is not written again: GitHub then refuses the edit.
        """
        number, body, comment_id = int(owed.subject), owed.wanted["body"], owed.remote_id
        if comment_id is None:
            comment_id = await self._github.find_comment(owed.place, number, COMMENT_MARKER)
        if comment_id is not None:
            await self._github.edit_comment(owed.place, number, comment_id, body)
        elif owed.wanted["create"]:
            comment_id = await self._github.create_comment(owed.place, number, body)
        return comment_id

    async def _note_sent(self, owed: _Owed, remote_id: int | None) -> None:
        async with self._store.write() as session:
            row = await session.get_one(Report, owed.report_id)
            row.sent, row.remote_id = dict(owed.wanted), remote_id
            row.owed = row.wanted != row.sent  # it may have changed while it was sent
            row.attempts, row.reason = 0, None
            _release(row)
        log.info("report_sent", report=owed.kind, subject=owed.subject, state=owed.wanted.get("state"))

    async def _note_failure(self, owed: _Owed, error: BinderError) -> None:
        now = utc_now()
        async with self._store.write() as session:
            row = await session.get_one(Report, owed.report_id)
            attempts = max(row.attempts, 1)
            if row.wanted == owed.wanted and (isinstance(error, GitHubRefusalError) or attempts >= _MOST_ATTEMPTS):
                _give_up(row, error.message)
            else:
                row.not_before = now + timedelta(seconds=pause_seconds(error, attempts))
                row.reason = error.message[:_LONGEST_REASON]
                _release(row)
            if isinstance(error, GitHubUnavailableError) and error.limited:
                await _put_off_all(session, owed.place, now + timedelta(seconds=error.retry_after_seconds))
        log.warning("report_not_sent", report=owed.kind, subject=owed.subject, reason=error.message)


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
