"""The loop that finds what no delivery told: at the start and each hour, installations, repositories and heads.

One installation at a time, one repository a step, and only while much of its hour's requests is left to others.
"""

from collections import deque
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, update

from binder.errors import BinderError
from binder.log import logger
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Installation, utc_now
from githubapp.comparing import Comparer
from githubapp.decisions import Cause
from githubapp.faults import GitHubRefusalError, GitHubUnavailableError, pause_seconds
from githubapp.installations import Installations
from githubapp.looks import Looker
from githubapp.lookups import Lookups
from githubapp.repositories import unseen
from githubapp.values import RepositoryFacts

log = logger(__name__)

_EVERY = timedelta(hours=1)
_LEFT_TO_OTHERS = 0.5
_SHORT_OF_REQUESTS = timedelta(minutes=10)


class Comparisons:
    """Compares all that the App is installed on. What it is at is remembered here only: a new one begins anew."""

    def __init__(self, store: Store, github: Lookups, settings: Settings) -> None:
        self._store = store
        self._github = github
        self._host = settings.github_host
        self._signs_in = settings.signs_in
        self._looker = Looker(store, github, settings)
        self._comparer = Comparer(store, github, self._looker, settings)
        self._installations = Installations(store, github, settings)
        self._began_at = utc_now()
        self._listed_at: datetime | None = None
        self._installation_id: int | None = None
        self._repositories: deque[RepositoryFacts] | None = None  # not known yet
        self._not_before = self._began_at
        self._failures = 0

    async def step(self) -> bool:
        """Do the next bit of comparing, and return whether there was any."""
        now = utc_now()
        if now < self._not_before:
            return False
        try:
            busy = await self._next(now)
        except BinderError as error:
            await self._put_off(error, now)
            return True
        self._failures = 0
        return busy

    async def _next(self, now: datetime) -> bool:
        if self._listed_at is None or now - self._listed_at >= _EVERY:
            await self._list()
            self._listed_at = now
            return True
        if self._installation_id is None:
            self._installation_id = await self._due(now)
        if self._installation_id is None:
            return False
        if self._repositories is None:
            self._repositories = await self._begin(self._installation_id, now)
        else:
            await self._go_on(self._installation_id, self._repositories, now)
        return True

    async def _list(self) -> None:
        """Learn of the installations that there are, and end those that there are no more."""
        listed = await self._github.installations()
        async with self._store.write() as session:
            for facts in listed.items:
                await self._installations.record(session, facts)
            of_host = select(Installation.external_id).where(Installation.host == self._host)
            stored = list(await session.scalars(of_host))
        known = {facts.id for facts in listed.items}
        for number in stored:
            if number not in known:
                finding, _ = await self._installations.find(number)
                await self._looker.write(finding, self._cause)

    async def _due(self, now: datetime) -> int | None:
        """Return the installation that was compared the longest ago, None where all were lately, and since we began."""
        since = max(now - _EVERY, self._began_at)
        at = Installation.compared_at
        due = select(Installation.external_id).where(Installation.host == self._host, or_(at.is_(None), at < since))
        async with self._store.read() as session:
            return (await session.scalars(due.order_by(at.is_not(None), at, Installation.id).limit(1))).first()

    async def _begin(self, installation_id: int, now: datetime) -> deque[RepositoryFacts]:
        """End what the installation covers no more, and return the repositories to compare."""
        finding, covered = await self._installations.find(installation_id)
        await self._looker.write(finding, self._cause)
        # From here on, an event that wants it compared again is not forgotten when this comparison ends.
        await self._note(installation_id, now)
        return deque(covered)

    async def _go_on(self, installation_id: int, repositories: deque[RepositoryFacts], now: datetime) -> None:
        """Compare the next repository, or note that all were."""
        if not repositories:
            await self._note(installation_id, now, Installation.compared_at.is_not(None))
            self._leave()
            return
        if await self._github.allowance(installation_id) < _LEFT_TO_OTHERS:
            self._not_before = now + _SHORT_OF_REQUESTS
            return
        facts = repositories[0]
        try:
            if not unseen(facts, signs_in=self._signs_in):
                await self._comparer.compare(facts, self._cause)
        except GitHubRefusalError as error:
            log.warning("repository_not_compared", repository=f"{facts.owner}/{facts.name}", reason=error.message)
        repositories.popleft()

    def _leave(self) -> None:
        self._installation_id = self._repositories = None

    async def _note(self, installation_id: int, now: datetime, *where: ColumnElement[bool]) -> None:
        same = (Installation.host == self._host, Installation.external_id == installation_id)
        async with self._store.write() as session:
            await session.execute(update(Installation).where(*same, *where).values(compared_at=now))

    async def _put_off(self, error: BinderError, now: datetime) -> None:
        """Go on with the next installation, or later with all where GitHub itself does not answer."""
        log.warning("comparison_put_off", installation=self._installation_id, reason=error.message)
        is_of_one = isinstance(error, GitHubRefusalError) or (
            isinstance(error, GitHubUnavailableError) and error.limited
        )
        if is_of_one and self._installation_id is not None:
            await self._note(self._installation_id, now)
            self._leave()
            return
        self._failures += 1
        self._not_before = now + timedelta(seconds=pause_seconds(error, self._failures))

    @property
    def _cause(self) -> Cause:
        return Cause("comparison")
