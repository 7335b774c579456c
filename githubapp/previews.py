"""Acts on stored deliveries: each hint goes to whoever looks there, and what they find is written down.

Owns the order of things, and what becomes of a delivery when GitHub does not answer. Refs are looked at by `looks`,
repositories by `comparing`, installations by `installations`; what people ask for is done by `commands`.
"""

from datetime import timedelta

from sqlalchemy import ColumnElement
from sqlalchemy.exc import IntegrityError

from binder.errors import BinderError
from binder.lifecycle import DeliveryState, step
from binder.log import logger
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Delivery, utc_now
from githubapp.commands import Commands
from githubapp.comparing import Comparer
from githubapp.decisions import Cause
from githubapp.events import (
    URGENT_EVENTS,
    AccessLook,
    Button,
    Command,
    Hint,
    Ignored,
    InstallationLook,
    Look,
    Refusal,
    RepositoryLook,
    SignInRevoked,
    hint_of,
)
from githubapp.faults import GitHubRefusalError, pause_seconds
from githubapp.installations import Installations
from githubapp.looks import Finding, Looker
from githubapp.lookups import Lookups
from githubapp.records import MovedError
from githubapp.withdrawals import sign_in_revoked, withdrawal

log = logger(__name__)

# Longer than all the calls of one delivery together may take.
_LEASE_SECONDS = 150.0
# With the pauses in between, some four hours.
_MOST_ATTEMPTS = 25
_LONGEST_REASON = 1000


class DeliveryWorker:
    """Takes one delivery after the other. Several may work side by side, here and in other processes."""

    def __init__(self, store: Store, github: Lookups, settings: Settings) -> None:
        self._store = store
        self._host = settings.github_host
        self._looker = Looker(store, github, settings)
        self._comparer = Comparer(store, github, self._looker, settings)
        self._installations = Installations(store, github, settings)
        self._commands = Commands(store, github, self._looker, settings)

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
        hint = hint_of(delivery.event, delivery.payload, delivery.app_id)
        cause = _cause_of(hint, delivery)
        await self._end(delivery, await self._find(hint, cause), cause)

    async def _find(self, hint: Hint, cause: Cause) -> Finding:
        found: Finding
        match hint:
            case Look():
                found = await self._looker.look(hint)
            case RepositoryLook():
                found = await self._comparer.look(hint, cause)
            case InstallationLook():
                found = await self._installations.look(hint)
            case AccessLook():
                found = withdrawal(hint, self._host)
            case SignInRevoked():
                found = sign_in_revoked(hint, self._host)
            case Command():
                found = await self._commands.comment(hint)
            case Button():
                found = await self._commands.press(hint)
            case Ignored(reason):
                found = Finding(DeliveryState.IGNORED, reason)
        return found

    async def _end(self, delivery: Delivery, found: Finding, cause: Cause) -> None:
        now = utc_now()
        async with self._store.write() as session:
            row = await session.get_one(Delivery, delivery.id)
            if row.lease_owner != self._store.owner:
                return  # it took so long that another worker has it now
            if found.write:
                await found.write(session, cause, now)
            _end_row(row, found.state, found.reason)
        log.info("delivery_acted_on", delivery=delivery.guid, state=found.state, reason=found.reason)

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


def _cause_of(hint: Hint, delivery: Delivery) -> Cause:
    match hint:
        case Command(actor=actor):
            return Cause("command", delivery.id, actor)
        case Button(actor=actor):
            return Cause("button", delivery.id, actor)
        case Look(actor=actor):
            return Cause("delivery", delivery.id, actor)
        case _:
            return Cause("delivery", delivery.id)


def _end_row(row: Delivery, state: DeliveryState, reason: str | None) -> None:
    row.state = step(row.state, state)
    row.reason = reason[:_LONGEST_REASON] if reason else None
    row.acted_at = utc_now()
    row.lease_owner = row.lease_until = None
