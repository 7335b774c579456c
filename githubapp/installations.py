"""Keeps installations and their repositories in line with GitHub: what is gone or hidden ends at once.

An event says only where to look: whether the App is still there, what it covers, and who may see it is asked.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.lifecycle import DeliveryState
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Installation, Repository
from githubapp.decisions import Cause
from githubapp.endings import end_repository
from githubapp.events import InstallationLook
from githubapp.looks import Finding
from githubapp.lookups import Lookups
from githubapp.owed import owe_again
from githubapp.reports import Addresses
from githubapp.repositories import record_repository, unseen
from githubapp.values import InstallationFacts, RepositoryFacts

REMOVED = "the App was removed from the repository"
UNINSTALLED = "the App was uninstalled"
SUSPENDED = "the App is suspended"


class Installations:
    """The installations of one App."""

    def __init__(self, store: Store, github: Lookups, settings: Settings) -> None:
        self._store = store
        self._github = github
        self._host = settings.github_host
        self._signs_in = settings.signs_in
        self._addresses = Addresses(settings.url, settings.github_url)

    async def look(self, look: InstallationLook) -> Finding:
        """Return what becomes of an installation; the heads of what it covers are left to be compared, soon."""
        found, _ = await self.find(look.installation_id)
        is_permitted = look.action == "new_permissions_accepted"
        return self._telling_again(found, look.installation_id) if is_permitted else found

    def _telling_again(self, found: Finding, installation_id: int) -> Finding:
        """Return the finding with what GitHub refused before, as it may be permitted now."""

        async def write(session: AsyncSession, cause: Cause, now: datetime) -> None:
            if found.write:
                await found.write(session, cause, now)
            for repository in await self._rows(session, installation_id):
                await owe_again(session, repository, self._addresses)

        return replace(found, write=write)

    async def find(self, installation_id: int) -> tuple[Finding, Sequence[RepositoryFacts]]:
        """Return what becomes of an installation, and the repositories that it covers."""
        facts = await self._github.installation(installation_id)
        if facts is None or facts.suspended:
            return self._ended(installation_id, facts), ()
        covered = (await self._github.covered(installation_id)).items
        return await self._covering(facts, covered), covered

    def _ended(self, installation_id: int, facts: InstallationFacts | None) -> Finding:
        reason = SUSPENDED if facts else UNINSTALLED

        async def write(session: AsyncSession, cause: Cause, now: datetime) -> None:
            if facts:
                await self.record(session, facts)
            elif row := await self._row(session, installation_id):
                await session.delete(row)
            for repository in await self._rows(session, installation_id):
                await self._end(session, repository, reason, cause, now, taken=facts is None)

        return Finding(DeliveryState.ACTED, reason, write)

    async def _covering(self, facts: InstallationFacts, covered: Sequence[RepositoryFacts]) -> Finding:
        gone = await self._gone(facts.id, covered)

        async def write(session: AsyncSession, cause: Cause, now: datetime) -> None:
            row = await self.record(session, facts)
            row.compared_at = None
            stored = {row.external_id: row for row in await self._rows(session, facts.id)}
            for number in gone & stored.keys():
                await self._end(session, stored[number], REMOVED, cause, now, taken=True)
            for repository in covered:
                reason = unseen(repository, signs_in=self._signs_in)
                known = stored.get(repository.place.repository_id)
                if known and reason:
                    await record_repository(session, self._host, repository, self._addresses)
                    await end_repository(session, known, reason, self._addresses, cause, now, taken=repository.private)

        return Finding(DeliveryState.ACTED, f"the installation covers {len(covered)} repositories", write)

    async def _gone(self, installation_id: int, covered: Sequence[RepositoryFacts]) -> set[int]:
        """Return the numbers of stored repositories that an installation does not cover any more."""
        listed = {one.place.repository_id for one in covered}
        async with self._store.read() as session:
            stored = [row.external_id for row in await self._rows(session, installation_id) if row.external_id]
        # A list may be cut, or older than an event: each that is not in it is asked about.
        missing = [number for number in stored if number not in listed]
        return {number for number in missing if await self._github.installation_of(number) != installation_id}

    async def _end(
        self, session: AsyncSession, repository: Repository, reason: str, cause: Cause, now: datetime, *, taken: bool
    ) -> None:
        repository.installation_id = None
        await end_repository(session, repository, reason, self._addresses, cause, now, taken=taken)

    async def record(self, session: AsyncSession, facts: InstallationFacts) -> Installation:
        """Bring the row of an installation up to date."""
        row = await self._row(session, facts.id)
        if row is None:
            row = Installation(host=self._host, external_id=facts.id)
            session.add(row)
        row.account, row.suspended = facts.account, facts.suspended
        await session.flush()
        return row

    async def _row(self, session: AsyncSession, installation_id: int) -> Installation | None:
        same = (Installation.host == self._host, Installation.external_id == installation_id)
        return (await session.scalars(select(Installation).where(*same))).one_or_none()

    async def _rows(self, session: AsyncSession, installation_id: int) -> Sequence[Repository]:
        of_it = (Repository.host == self._host, Repository.installation_id == installation_id)
        return (await session.scalars(select(Repository).where(*of_it).order_by(Repository.id))).all()
