"""Logs of builds in the store, in SQLite as in PostgreSQL."""

import asyncio

from binder.store import Store
from binder.store.build_logs import StoredLog, bill_of, has_bill
from binder.store.tables import BuildBill
from tests.binder.rows import add_builds


async def new_stored_log(store: Store) -> StoredLog:
    """Return the empty log of a build."""
    return StoredLog(store, (await add_builds(store, 1))[0])


async def test_a_log_of_nothing_is_empty(store: Store) -> None:
    log = await new_stored_log(store)
    assert (await log.size(), await log.read(0, 10), await log.read(7, 10)) == (0, b"", b"")


async def test_any_part_of_what_was_added_is_read(store: Store) -> None:
    log = await new_stored_log(store)
    parts = [b"one\n", b"\xff\x00", b"t" * 70_000, b"\n"]
    for part in parts:
        await log.append(part)
    whole = b"".join(parts)
    assert await log.size() == len(whole)
    for offset in (0, 1, 3, 4, 5, 6, 7, 70_005, len(whole) - 1, len(whole), len(whole) + 9):
        for most_bytes in (1, 2, 5, 69_999, 2**20):
            assert await log.read(offset, most_bytes) == whole[offset : offset + most_bytes]


async def test_two_who_write_at_once_lose_nothing(store: Store) -> None:
    log = await new_stored_log(store)
    again = StoredLog(store, log.build_id)
    await asyncio.gather(*(one.append(b"x" * 10) for one in (log, again) for _ in range(20)))
    assert await log.read(0, 1000) == b"x" * 400


async def test_a_log_is_of_one_build_and_wakes_nobody(store: Store) -> None:
    first, second = await add_builds(store, 2)
    log, other = StoredLog(store, first), StoredLog(store, second)
    changed = store.changed.subscribe()
    await log.append(b"mine")
    assert not changed.is_set()
    assert await other.read(0, 10) == b""


async def test_a_build_has_a_bill_or_none(store: Store) -> None:
    (build_id,) = await add_builds(store, 1)
    async with store.write() as session:
        assert (await has_bill(session, build_id), await bill_of(session, build_id)) == (False, None)
        session.add(BuildBill(build_id=build_id, data=b"{}"))
    async with store.read() as session:
        assert (await has_bill(session, build_id), await bill_of(session, build_id)) == (True, b"{}")
