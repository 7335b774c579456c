"""What a column takes and gives back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import StatementError

from binder.lifecycle import BuildState
from binder.store import Store
from binder.store.tables import Build, utc_now
from tests.binder.rows import add_builds

NOON = datetime(2026, 7, 1, 12, 30, 15, 999_999, tzinfo=UTC)
SUMMER_IN_BERLIN = timezone(timedelta(hours=2))


def test_the_clock_is_utc() -> None:
    assert utc_now().utcoffset() == timedelta(0)


@pytest.mark.parametrize("time", [NOON, NOON.astimezone(SUMMER_IN_BERLIN)])
async def test_a_time_is_utc_whatever_zone_it_came_in(store: Store, time: datetime) -> None:
    (build_id,) = await add_builds(store, 1)
    async with store.write() as session:
        (await session.get_one(Build, build_id)).started_at = time
    async with store.read() as session:
        found = await session.scalar(select(Build.started_at))
        assert found == NOON
        assert found.utcoffset() == timedelta(0)
        earlier, later = NOON - timedelta(microseconds=1), time + timedelta(microseconds=1)
        assert await session.scalar(select(Build.id).where(Build.started_at > earlier, Build.started_at < later))


async def test_a_time_of_no_zone_is_refused(store: Store) -> None:
    (build_id,) = await add_builds(store, 1)
    with pytest.raises(StatementError, match="without a zone"):
        async with store.write() as session:
            (await session.get_one(Build, build_id)).started_at = NOON.replace(tzinfo=None)


async def test_a_state_is_written_as_its_word(store: Store) -> None:
    await add_builds(store, 1)
    async with store.read() as session:
        assert await session.scalar(text("SELECT state FROM builds")) == "queued"
        assert await session.scalar(select(Build.state)) is BuildState.QUEUED


async def test_a_word_that_is_no_state_is_not_taken_for_one(store: Store) -> None:
    await add_builds(store, 1)
    async with store.write() as session:
        await session.execute(text("UPDATE builds SET state = 'lost'"))
    async with store.read() as session:
        with pytest.raises(ValueError, match="lost"):
            await session.scalar(select(Build.state))
