"""The store: who holds a row, what is written, and what is said when it cannot be reached."""

import asyncio
import re
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as OrmSession

from binder.errors import StoreUnavailableError
from binder.store import Store, open_store
from binder.store.tables import Build, Repository, Session
from tests.binder.rows import SHA, add_builds, add_repository
from tests.postgresql import ONLY_SQLITE

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
async def another(store: Store) -> AsyncIterator[Callable[[], Store]]:
    """Open the same store as another process would."""
    async with AsyncExitStack() as stack:

        def open_again() -> Store:
            again = Store(store.url)
            stack.push_async_callback(again.close)
            return again

        yield open_again


async def _claim(store: Store, now: datetime = NOW) -> Build | None:
    return await store.claim(Build, now=now, lease_seconds=30)


async def test_the_oldest_row_is_claimed_first_and_none_when_all_are_held(store: Store) -> None:
    ids = await add_builds(store, 2)
    claimed = [await _claim(store) for _ in range(3)]
    assert [build and build.id for build in claimed] == [*ids, None]
    assert claimed[0]
    assert (claimed[0].lease_owner, claimed[0].lease_until) == (store.owner, NOW + timedelta(seconds=30))


async def test_what_is_read_is_of_one_moment(store: Store) -> None:
    await add_builds(store, 1)
    count = select(func.count()).select_from(Build)
    async with store.read() as reading:
        before = (await reading.scalars(count)).one()
        async with store.write() as session:
            build = (await session.scalars(select(Build))).one()
            session.add(Build(repository_id=build.repository_id, sha=SHA))
        assert (await reading.scalars(count)).one() == before
    async with store.read() as reading:
        assert (await reading.scalars(count)).one() == before + 1


async def test_claims_can_be_narrowed(store: Store) -> None:
    ids = await add_builds(store, 3)
    build = await store.claim(Build, Build.id > ids[1], now=NOW, lease_seconds=30)
    assert build
    assert build.id == ids[2]


async def test_the_oldest_session_is_claimed_first_whatever_its_id(store: Store) -> None:
    (build_id,) = await add_builds(store, 1)
    async with store.write() as session:
        for number, name in enumerate(("szzz", "smmm", "saaa")):
            at = NOW + timedelta(seconds=number)
            row = Session(id=name, repository_id=1, build_id=build_id, image="x", token="t", created_at=at)
            session.add(row)
    claimed = [await store.claim(Session, now=NOW, lease_seconds=30) for _ in range(3)]
    assert [row and row.id for row in claimed] == ["szzz", "smmm", "saaa"]


async def test_no_row_is_claimed_twice(store: Store, another: Callable[[], Store]) -> None:
    ids = await add_builds(store, 12)
    claimed: list[int] = []

    async def claim_all(of: Store) -> None:
        while build := await _claim(of):
            claimed.append(build.id)

    await asyncio.gather(*(claim_all(another()) for _ in range(4)))
    assert sorted(claimed) == ids


async def test_a_lease_that_ended_is_taken_over(store: Store, another: Callable[[], Store]) -> None:
    await add_builds(store, 1)
    assert await _claim(store)
    other = another()
    assert await _claim(other, NOW + timedelta(seconds=29)) is None
    taken = await _claim(other, NOW + timedelta(seconds=31))
    assert taken
    assert taken.lease_owner == other.owner


async def test_a_process_that_stops_frees_what_it_holds_and_nothing_else(
    store: Store, another: Callable[[], Store]
) -> None:
    ids = await add_builds(store, 2)
    await _claim(store)
    await _claim(another())
    await store.release_leases()
    freed = await _claim(store)
    assert freed
    assert freed.id == ids[0]
    assert await _claim(store) is None


async def test_who_knows_that_nobody_is_at_work_frees_everything(store: Store, another: Callable[[], Store]) -> None:
    ids = await add_builds(store, 2)
    await _claim(another())
    await _claim(another())
    await store.release_leases(of_all=True)
    assert [build and build.id for build in [await _claim(store) for _ in range(3)]] == [*ids, None]


async def test_a_change_is_hinted_at_once_it_is_there(store: Store) -> None:
    changed, arrived = store.changed.subscribe(), store.arrived.subscribe()
    async with store.write() as session:
        session.add(Repository(host="h", owner="o", name="n", clone_url="u"))
        await session.flush()
        assert not changed.is_set()
    assert changed.is_set()
    assert arrived.is_set()


async def test_arrivals_wake_only_those_who_act_on_them(store: Store) -> None:
    changed, arrived = store.changed.subscribe(), store.arrived.subscribe()
    async with store.write(only_arrivals=True):
        pass
    assert arrived.is_set()
    assert not changed.is_set()


async def test_a_block_that_fails_writes_nothing_and_hints_at_nothing(store: Store) -> None:
    changed = store.changed.subscribe()

    async def write() -> None:
        async with store.write() as session:
            session.add(Repository(host="h", owner="o", name="n", clone_url="u"))
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write()
    assert not changed.is_set()
    async with store.read() as session:
        assert await session.scalar(select(func.count()).select_from(Repository)) == 0


def _add(session: OrmSession) -> int:
    session.add(Repository(host="h", owner="o", name="n", clone_url="u"))
    session.flush()
    return session.scalar(select(func.count()).select_from(Repository)) or 0


async def test_a_whole_transaction_can_go_at_once(store: Store, another: Callable[[], Store]) -> None:
    changed, arrived = store.changed.subscribe(), store.arrived.subscribe()
    assert await store.write_at_once(_add, only_arrivals=True) == 1
    assert (arrived.is_set(), changed.is_set()) == (True, False)
    async with another().read() as session:
        assert (await session.scalars(select(Repository.name))).all() == ["n"]
    with pytest.raises(IntegrityError):
        await store.write_at_once(_add)
    assert not changed.is_set()


@ONLY_SQLITE
async def test_what_goes_at_once_waits_for_its_turn_and_others_for_it(store: Store) -> None:
    async with store.write() as session:
        at_once = asyncio.create_task(store.write_at_once(_add))
        await asyncio.sleep(0.05)
        session.add(Repository(host="h", owner="o", name="first", clone_url="u"))
    assert await at_once == 2


@ONLY_SQLITE
async def test_whoever_gives_up_leaves_no_transaction_open(store: Store) -> None:
    begun = threading.Event()

    def work(session: OrmSession) -> None:
        begun.set()
        time.sleep(0.1)
        _add(session)

    task = asyncio.create_task(store.write_at_once(work))
    await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await add_repository(store)
    async with store.read() as session:
        assert set(await session.scalars(select(Repository.name))) == {"n", "notebooks"}


async def test_rows_may_be_kept_after_their_transaction(store: Store) -> None:
    repository = await add_repository(store)
    async with store.read() as session:
        again = await session.get_one(Repository, repository.id)
    assert again.full_name == repository.full_name == "ada/notebooks"


async def test_reading_does_not_wait_for_writing(store: Store, another: Callable[[], Store]) -> None:
    other = another()
    async with store.write() as writing:
        writing.add(Repository(host="h", owner="o", name="n", clone_url="u"))
        await writing.flush()
        async with asyncio.timeout(2), other.read() as reading:
            assert await reading.scalar(select(func.count()).select_from(Repository)) == 0


@ONLY_SQLITE
async def test_writing_waits_for_writing(store: Store, another: Callable[[], Store]) -> None:
    async def add(of: Store, number: int) -> None:
        async with of.write() as session:
            seen = await session.scalar(select(func.count()).select_from(Repository))
            await asyncio.sleep(0.02)
            session.add(Repository(host="h", owner="o", name=str(seen), clone_url=str(number)))

    await asyncio.gather(*(add(another(), number) for number in range(5)))
    async with store.read() as session:
        names = await session.scalars(select(Repository.name).order_by(Repository.id))
        assert list(names) == ["0", "1", "2", "3", "4"]


async def test_rows_refer_only_to_rows(store: Store) -> None:
    with pytest.raises(IntegrityError):
        async with store.write() as session:
            session.add(Build(repository_id=99, sha=SHA))


@ONLY_SQLITE
async def test_what_was_written_survives_a_crash(store: Store) -> None:
    async with store.read() as session:
        modes = [await session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")]
    assert modes == ["wal", 2]


async def test_a_store_that_cannot_be_reached_is_nobodys_fault_here(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/missing/binder.db"
    with pytest.raises(StoreUnavailableError):
        async with open_store(url):
            pass
    store = Store(url)
    for transaction in (store.read, store.write):
        with pytest.raises(StoreUnavailableError):
            async with transaction() as session:
                await session.execute(select(Build))
    with pytest.raises(StoreUnavailableError):
        await store.write_at_once(_add)
    await store.close()
    await asyncio.sleep(0.1)  # the driver's thread says once more that it could not connect, to this loop


@ONLY_SQLITE
async def test_a_store_that_is_locked_for_too_long_is_unavailable(store: Store, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "binder.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        async with asyncio.timeout(20):
            with pytest.raises(StoreUnavailableError):
                await add_repository(store)
    finally:
        connection.close()
    await add_repository(store)


async def test_a_service_has_one_name_whichever_process_asks(
    store: Store, another: Callable[[], Store], tmp_path: Path
) -> None:
    name = await store.instance()
    assert re.fullmatch(r"[0-9a-f]{8}", name)
    assert await another().instance() == name
    async with open_store(f"sqlite+aiosqlite:///{tmp_path / 'other.db'}") as other:
        assert await other.instance() != name


async def test_who_is_cancelled_in_the_middle_of_a_statement_leaves_no_lock(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'store.db'}"
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000000)"

    async def write_for_long(store: Store) -> None:
        async with store.write() as session:
            await session.execute(text(f"{numbers} select count(*) from n"))

    async with open_store(url) as store, open_store(url) as other:
        writing = asyncio.create_task(write_for_long(store))
        await asyncio.sleep(0.1)
        writing.cancel()
        ended = await asyncio.gather(writing, return_exceptions=True)  # kept, and with it all that it refers to
        await other.release_leases()
    assert isinstance(ended[0], asyncio.CancelledError)
