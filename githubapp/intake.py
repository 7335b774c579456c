"""Writes deliveries down before they are answered, many in one transaction, each once.

A disk takes its time to make something durable, and deliveries come in bursts: whoever has the turn writes for all who
wait.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from binder.errors import StoreUnavailableError
from binder.lifecycle import DeliveryState, step
from binder.store import Store
from binder.store.tables import Delivery, utc_now
from githubapp.deliveries import Event

Outcome: TypeAlias = Literal["stored", "ignored", "duplicate"]

_MOST_WAITING = 2000


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
        guids = [one.event.guid for one in batch]
        same_app = (Delivery.host == self._host, Delivery.app_id == self._app_id)
        async with self._store.write(only_arrivals=True) as session:
            rows = await session.scalars(select(Delivery).where(*same_app, Delivery.guid.in_(guids)))
            known = {row.guid: row for row in rows}
            outcomes: list[Outcome] = []
            for one in batch:
                row = known.get(one.event.guid)
                if row is not None and row.state is not DeliveryState.FAILED:
                    outcomes.append("duplicate")
                    continue
                if row is None:
                    row = Delivery(host=self._host, app_id=self._app_id, guid=one.event.guid)
                    session.add(row)
                _fill(row, one)
                known[one.event.guid] = row
                outcomes.append("stored" if one.ignored is None else "ignored")
            return outcomes


def _fill(row: Delivery, waiting: _Waiting) -> None:
    """Set a row that is new, or that failed, to its beginning."""
    now = utc_now()
    row.state = DeliveryState.STORED
    row.event, row.payload = waiting.event.name, dict(waiting.event.payload)
    row.attempts, row.received_at, row.reason, row.acted_at = 0, now, waiting.ignored, None
    if waiting.ignored is not None:
        row.state = step(row.state, DeliveryState.IGNORED)
        row.acted_at = now
