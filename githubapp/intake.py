"""Writes deliveries down before they are answered, many in one transaction, each once.

A disk takes its time to make something durable, and deliveries come in bursts: whoever has the turn writes for all who
wait.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from binder.errors import StoreUnavailableError
from binder.lifecycle import DeliveryState, step
from binder.store import Store
from binder.store.tables import Delivery, utc_now
from githubapp.deliveries import Event

Outcome: TypeAlias = Literal["stored", "ignored", "duplicate"]

_MOST_WAITING = 2000
_ASKED_AT_ONCE = 500


@dataclass(frozen=True)
class _Waiting:
    """A delivery to be written down, as one that changes nothing where `ignored` says why."""

    event: Event
    ignored: str | None
    outcome: asyncio.Future[Outcome]


class Intake:
    """Where the deliveries of one App are kept; `host` and `app_id` tell its ids from those of other Apps."""

    def __init__(self, store: Store, host: str, app_id: int) -> None:
        self._store = store
        self._host = host
        self._app_id = app_id
        self._waiting: list[_Waiting] = []
        self._turn = asyncio.Lock()

    async def keep(self, event: Event, ignored: str | None) -> Outcome:
        """Write a delivery down and return what became of it: one that is there, and did not fail, is a duplicate.

        Raises: StoreUnavailableError.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise StoreUnavailableError("Too many deliveries wait to be stored.")
        mine = _Waiting(event, ignored, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        try:
            async with self._turn:
                if not mine.outcome.done():
                    await self._write_all()
            return await mine.outcome
        finally:
            # Whoever gives up is not written down, and leaves no failure behind that nobody looked at.
            if not mine.outcome.cancel() and not mine.outcome.cancelled():
                mine.outcome.exception()

    async def known(self, guids: Iterable[str]) -> set[str]:
        """Return which of these deliveries are here and did not fail.

        Raises: StoreUnavailableError.
        """
        asked, found = list(guids), set[str]()
        same_app = (Delivery.host == self._host, Delivery.app_id == self._app_id)
        async with self._store.read() as session:
            for at in range(0, len(asked), _ASKED_AT_ONCE):
                of_these = Delivery.guid.in_(asked[at : at + _ASKED_AT_ONCE])
                did_not_fail = Delivery.state != DeliveryState.FAILED
                found.update(await session.scalars(select(Delivery.guid).where(*same_app, of_these, did_not_fail)))
        return found

    async def _write_all(self) -> None:
        """Write down what waits, and tell those who wait."""
        batch = [one for one in self._waiting if not one.outcome.done()]
        self._waiting = []
        try:
            outcomes = await self._write(batch)
        except BaseException as error:
            failure = error if isinstance(error, StoreUnavailableError) else StoreUnavailableError("Not stored.")
            for one in batch:
                if not one.outcome.done():
                    one.outcome.set_exception(failure)
            raise
        for one, outcome in zip(batch, outcomes, strict=True):
            if not one.outcome.done():
                one.outcome.set_result(outcome)

    async def _write(self, batch: Sequence[_Waiting]) -> list[Outcome]:
        try:
            return await self._write_once(batch)
        except IntegrityError:
            # Another process wrote one of them at the same time: now that one can be seen.
            return await self._write_once(batch)

    async def _write_once(self, batch: Sequence[_Waiting]) -> list[Outcome]:
        return await self._store.write_at_once(lambda session: self._put(session, batch), only_arrivals=True)

    def _put(self, session: Session, batch: Sequence[_Waiting]) -> list[Outcome]:
        guids = [one.event.guid for one in batch]
        same_app = (Delivery.host == self._host, Delivery.app_id == self._app_id)
        of_these = select(Delivery.guid, Delivery.id, Delivery.state).where(*same_app, Delivery.guid.in_(guids))
        known = {guid: (number, state) for guid, number, state in session.execute(of_these)}
        outcomes: list[Outcome] = []
        new: dict[str, dict[str, object]] = {}
        failed: dict[str, dict[str, object]] = {}
        for one in batch:
            guid = one.event.guid
            number, state = known.get(guid, (None, DeliveryState.FAILED))
            if state is not DeliveryState.FAILED or guid in new or guid in failed:
                outcomes.append("duplicate")
                continue
            outcomes.append("stored" if one.ignored is None else "ignored")
            if number is None:
                new[guid] = {"host": self._host, "app_id": self._app_id, "guid": guid, **_columns(one)}
            else:
                failed[guid] = {"id": number, **_columns(one)}
        # All rows in one statement, which SQLite does not do with objects.
        if new:
            session.execute(insert(Delivery), list(new.values()))
        if failed:
            session.execute(update(Delivery), list(failed.values()))
        return outcomes


def _columns(waiting: _Waiting) -> dict[str, object]:
    """Return what a row is that is new, or that failed and begins anew."""
    now = utc_now()
    state = DeliveryState.STORED if waiting.ignored is None else step(DeliveryState.STORED, DeliveryState.IGNORED)
    return {
        "event": waiting.event.name,
        "payload": dict(waiting.event.payload),
        "state": state,
        "attempts": 0,
        "received_at": now,
        "reason": waiting.ignored,
        "acted_at": None if waiting.ignored is None else now,
    }
