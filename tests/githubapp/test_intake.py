"""Deliveries are written down together, and each once."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event, func, select

from binder.errors import StoreUnavailableError
from binder.store import Store, open_store
from binder.store.tables import Delivery
from githubapp.deliveries import Event
from githubapp.intake import Intake
from tests.postgresql import ONLY_SQLITE


def intake(store: Store) -> Intake:
    return Intake(store, "github.com", 17)


async def count(store: Store) -> int:
    async with store.read() as session:
        return await session.scalar(select(func.count()).select_from(Delivery)) or 0


async def test_a_burst_takes_few_transactions(store: Store) -> None:
    commits = 0

    @event.listens_for(store._engine.sync_engine, "commit")
    def _count(_: object) -> None:
        nonlocal commits
        commits += 1

    into = intake(store)
    outcomes = await asyncio.gather(*(into.keep(Event(f"guid-{n % 250}", "push", {}), None) for n in range(500)))
    assert (outcomes.count("stored"), outcomes.count("duplicate")) == (250, 250)
    assert commits <= 3
    assert await count(store) == 250


async def test_two_processes_keep_one_delivery_once(store: Store) -> None:
    async with open_store(store.url) as other:
        events = [Event(f"guid-{number}", "push", {}) for number in range(20)]
        kept = [into.keep(one, None) for one in events for into in (intake(store), intake(other))]
        outcomes = await asyncio.gather(*kept)
    assert outcomes.count("stored") == outcomes.count("duplicate") == await count(store) == 20


@ONLY_SQLITE
async def test_whoever_gives_up_is_not_written_down(store: Store, tmp_path: Path) -> None:
    into = intake(store)
    holder = sqlite3.connect(tmp_path / "binder.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(into.keep(Event("first", "push", {}), None))
    await asyncio.sleep(0.05)
    impatient = asyncio.create_task(into.keep(Event("impatient", "push", {}), None))
    patient = asyncio.create_task(into.keep(Event("patient", "push", {}), None))
    await asyncio.sleep(0.05)
    impatient.cancel()
    holder.execute("ROLLBACK")
    holder.close()
    assert [await first, await patient] == ["stored", "stored"]
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await count(store) == 2


@ONLY_SQLITE
async def test_a_failure_is_everyones_who_waited_for_it(store: Store, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "binder.db")
    other.execute("ALTER TABLE deliveries RENAME TO elsewhere")
    other.close()
    into = intake(store)
    kept = [into.keep(Event(f"guid-{number}", "push", {}), None) for number in range(10)]
    outcomes = await asyncio.gather(*kept, return_exceptions=True)
    assert {type(one) for one in outcomes} == {StoreUnavailableError}


async def test_too_many_that_wait_are_turned_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("githubapp.intake._MOST_WAITING", 10)
    into = intake(store)
    kept = [into.keep(Event(f"guid-{number}", "push", {}), None) for number in range(30)]
    outcomes = await asyncio.gather(*kept, return_exceptions=True)
    assert outcomes.count("stored") == await count(store) == 11  # one had the turn, ten waited
