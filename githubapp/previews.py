"""Acts on stored deliveries: looks at the ref again, and has written down what is kept live and what is built.

Owns the order of things, and what becomes of a delivery when GitHub does not answer. What to do is decided by `heads`,
what is written stands in `records`, and GitHub hears of it from `reporter`.
"""

from datetime import timedelta
from typing import Protocol

from sqlalchemy import ColumnElement
from sqlalchemy.exc import IntegrityError

from binder.errors import BinderError
from binder.lifecycle import DeliveryState, step
from binder.log import logger
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Delivery, utc_now
from githubapp.events import URGENT_EVENTS, Hint, Ignored, Look, Refusal, hint_of
from githubapp.faults import GitHubRefusalError, pause_seconds
from githubapp.heads import Head, decide
from githubapp.records import MovedError, Observation, mark_of, record
from githubapp.reports import Addresses
from githubapp.values import Place, PullRequest, RepositoryFacts

log = logger(__name__)

# Longer than all the calls of one delivery together may take.
_LEASE_SECONDS = 150.0
# With the pauses in between, some four hours.
_MOST_ATTEMPTS = 25
_LONGEST_REASON = 1000


class GitHub(Protocol):
    """What is asked of GitHub here."""

    async def installation_of(self, repository_id: int) -> int | None:
        """Return the installation that covers a repository, or None."""

    async def repository(self, installation_id: int, repository_id: int) -> RepositoryFacts | None:
        """Return a repository by GitHub's number, or None."""

    async def branch_head(self, place: Place, branch: str) -> str | None:
        """Return the sha that a branch is at, or None."""

    async def pull_request(self, place: Place, number: int) -> PullRequest | None:
        """Return a pull request, or None."""


class DeliveryWorker:
    """Takes one delivery after the other. Several may work side by side, here and in other processes."""

    def __init__(self, store: Store, github: GitHub, settings: Settings) -> None:
        self._store = store
        self._github = github
        self._host = settings.github_host
        self._addresses = Addresses(settings.url, settings.github_url)

    async def step(self) -> bool:
        """Act on the oldest delivery that waits, urgent ones first, and return whether there was one."""
        delivery = await self._claim(Delivery.event.in_(URGENT_EVENTS)) or await self._claim()
        if delivery is None:
            return False
        try:
            await self._act(delivery)
        except IntegrityError:
            await self._put_off(delivery, MovedError("Another worker wrote the same row first."))
        except BinderError as error:
            await self._put_off(delivery, error)
        return True

    async def _claim(self, *of_kind: ColumnElement[bool]) -> Delivery | None:
        waits = (Delivery.state == DeliveryState.STORED, *of_kind)
        return await self._store.claim(Delivery, *waits, now=utc_now(), lease_seconds=_LEASE_SECONDS)

    async def _act(self, delivery: Delivery) -> None:
        seen = await self._seen(hint_of(delivery.event, delivery.payload, delivery.app_id))
        if isinstance(seen, Ignored):
            await self._end(delivery, DeliveryState.IGNORED, seen.reason)
        else:
            await self._end(delivery, seen.decision.state, seen.decision.reason, seen)

    async def _seen(self, hint: Hint) -> Observation | Ignored:
        if isinstance(hint, Look):
            return await self._observe(hint)
        return hint if isinstance(hint, Ignored) else Ignored(f"{type(hint).__name__} is not acted on yet")

    async def _observe(self, look: Look) -> Observation | Ignored:
        """Return what GitHub says now about a ref, and what to do about it."""
        installation_id = look.installation_id or await self._github.installation_of(look.repository_id)
        if installation_id is None:
            return Ignored("the App is not installed on the repository")
        async with self._store.read() as session:
            mark = await mark_of(session, self._host, look)
        facts = await self._github.repository(installation_id, look.repository_id)
        if facts is None:
            return Ignored("the App cannot see the repository")
        return Observation(look, facts, decide(look, await self._head(look, facts.place)), mark)

    async def _head(self, look: Look, place: Place) -> Head:
        if look.kind == "branch":
            return Head(await self._github.branch_head(place, look.ref))
        pull = await self._github.pull_request(place, int(look.ref))
        if pull is None or not pull.is_open:
            return Head(None)
        return Head(pull.head_sha, is_from_fork=pull.is_from_fork)

    async def _end(
        self, delivery: Delivery, state: DeliveryState, reason: str | None, seen: Observation | None = None
    ) -> None:
        now = utc_now()
        async with self._store.write() as session:
            row = await session.get_one(Delivery, delivery.id)
            if row.lease_owner != self._store.owner:
                return  # it took so long that another worker has it now
            if seen:
                await record(session, self._host, seen, self._addresses, now)
            _end_row(row, state, reason)
        log.info("delivery_acted_on", delivery=delivery.guid, state=state, reason=reason)

    async def _put_off(self, delivery: Delivery, error: BinderError) -> None:
        """Have a delivery that failed tried again later, where that can help; GitHub may deliver the others again."""
        now = utc_now()
        async with self._store.write() as session:
            row = await session.get_one(Delivery, delivery.id)
            row.attempts += 1
            is_final = isinstance(error, GitHubRefusalError | Refusal) or row.attempts >= _MOST_ATTEMPTS
            if is_final:
                _end_row(row, DeliveryState.FAILED, error.message)
            else:
                row.reason = error.message[:_LONGEST_REASON]
                row.lease_until = now + timedelta(seconds=pause_seconds(error, row.attempts))
        log.warning("delivery_failed", delivery=delivery.guid, reason=error.message, final=is_final)


def _end_row(row: Delivery, state: DeliveryState, reason: str | None) -> None:
    row.state = step(row.state, state)
    row.reason = reason[:_LONGEST_REASON] if reason else None
    row.acted_at = utc_now()
    row.lease_owner = row.lease_until = None
