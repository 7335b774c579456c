"""Hints from process to process through a real PostgreSQL."""

import asyncio

import pytest

from binder.store import Store, open_store
from binder.store.hints import heard_hints
from binder.store.tables import Delivery
from tests.binder.rows import add_repository
from tests.postgresql import ONLY_SQLITE, PostgreSQL

_END = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'binder-hints'"


async def is_given(event: asyncio.Event) -> None:
    """Wait for a hint."""
    async with asyncio.timeout(10):
        await event.wait()
    event.clear()


@pytest.fixture
def url(postgresql: PostgreSQL) -> str:
    """The address of an empty database."""
    return postgresql.new_database()


async def test_what_one_process_writes_another_is_told(url: str) -> None:
    async with open_store(url) as one, open_store(url) as other, heard_hints(other):
        changed, arrived = other.changed.subscribe(), other.arrived.subscribe()
        await is_given(changed)  # it has just begun to listen
        await is_given(arrived)
        await add_repository(one)
        await is_given(changed)
        await is_given(arrived)


async def deliver(store: Store, guid: str) -> None:
    """Store a delivery, as those do that come in bursts."""
    delivery = Delivery(host="github.com", app_id=1, guid=guid, event="push", payload={})
    await store.write_at_once(lambda session: session.add(delivery), only_arrivals=True)


async def test_arrivals_alone_wake_those_only_who_wait_for_them(url: str) -> None:
    async with open_store(url) as one, open_store(url) as other, heard_hints(other):
        changed, arrived = other.changed.subscribe(), other.arrived.subscribe()
        await is_given(changed)
        await is_given(arrived)
        await deliver(one, "1")
        await is_given(arrived)
        assert not changed.is_set()


async def test_nobody_hears_himself(url: str) -> None:
    async with open_store(url) as one, open_store(url) as other, heard_hints(one):
        changed, arrived = one.changed.subscribe(), one.arrived.subscribe()
        await is_given(changed)
        await add_repository(one)
        changed.clear()
        arrived.clear()
        await deliver(other, "1")  # comes after whatever came of the write before
        await is_given(arrived)
        assert not changed.is_set()


async def test_what_was_not_committed_is_told_nobody(url: str) -> None:
    async with open_store(url) as one, open_store(url) as other, heard_hints(other):
        changed, arrived = other.changed.subscribe(), other.arrived.subscribe()
        await is_given(changed)
        arrived.clear()
        with pytest.raises(ZeroDivisionError):
            await _write_and_fail(one)
        await deliver(one, "1")
        await is_given(arrived)
        assert not changed.is_set()


async def _write_and_fail(store: Store) -> None:
    async with store.write():
        raise ZeroDivisionError


async def test_a_connection_that_breaks_off_is_made_anew(url: str, postgresql: PostgreSQL) -> None:
    async with open_store(url) as one, open_store(url) as other, heard_hints(other):
        changed = other.changed.subscribe()
        await is_given(changed)
        await asyncio.to_thread(postgresql.ask, _END)
        await is_given(changed)  # of what it did not hear meanwhile
        await add_repository(one)
        await is_given(changed)


@ONLY_SQLITE
async def test_sqlite_has_nobody_to_listen_to(store: Store) -> None:
    async with heard_hints(store):
        await add_repository(store)
