"""Clicks against a real store: one standby is one visitor's."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from binder.lifecycle import BuildState, SessionState
from binder.names import is_session_id, is_token
from binder.store import Store
from binder.store.tables import Build, Session, utc_now
from proxy.claims import Launched, Launcher, Quota, launch
from proxy.commits import Commit
from proxy.launch import BuildFailed, Busy, Full, StartFailed, Wait
from proxy.waiting import Queue, Turn
from tests.postgresql import EACH_STORE
from tests.proxy.rows import IMAGE, SHA, add_build, add_repository, add_session, session_of

pytestmark = EACH_STORE


async def click(store: Store, commit: Commit, *, sessions_at_most: int = 5, per_repository: int = 9) -> Launched:
    """Click on a link once."""
    return await launch(store, commit, Launcher(None, lambda: None), Quota(sessions_at_most, per_repository), utc_now())


async def sessions_in(store: Store) -> list[Session]:
    """Return all sessions."""
    async with store.read() as session:
        return list((await session.scalars(select(Session))).all())


@pytest.fixture
async def commit(store: Store) -> Commit:
    """A commit of a repository."""
    return Commit(await add_repository(store), SHA)


async def test_the_first_click_queues_one_build_and_the_next_ones_wait_for_it(store: Store, commit: Commit) -> None:
    clicks = await asyncio.gather(*(click(store, commit) for _ in range(5)))
    assert {launched.build.id for launched in clicks} == {1}
    assert all(launched.outcome == Wait() for launched in clicks)
    async with store.read() as session:
        assert [build.state for build in await session.scalars(select(Build))] == [BuildState.QUEUED]


async def test_a_click_on_what_may_be_a_forks_has_it_built_as_a_forks(store: Store, commit: Commit) -> None:
    assert (await click(store, replace(commit, untrusted=True))).build.untrusted


async def test_what_was_built_for_a_forks_preview_opens_by_its_sha_alone(store: Store, commit: Commit) -> None:
    build = await add_build(store, commit.repository, untrusted=True)
    standby = await add_session(store, build)
    as_own = await click(store, commit)
    assert (as_own.outcome, as_own.build.untrusted, as_own.build.id != build.id) == (Wait(), False, True)
    async with store.write() as session:
        await session.delete(await session.get_one(Build, as_own.build.id))
    opened = (await click(store, replace(commit, untrusted=True))).outcome
    assert isinstance(opened, Session)
    assert opened.id == standby.id


async def test_a_standby_is_opened(store: Store, commit: Commit) -> None:
    standby = await add_session(store, await add_build(store, commit.repository))
    launched = await click(store, commit)
    assert isinstance(launched.outcome, Session)
    now = await session_of(store, standby.id)
    assert (now.state, now.token) == (SessionState.OPEN, standby.token)
    assert now.opened_at is not None


async def test_two_clicks_at_once_never_get_one_session(store: Store, commit: Commit) -> None:
    build = await add_build(store, commit.repository)
    standbys = {(await add_session(store, build)).id for _ in range(3)}
    clicks = await asyncio.gather(*(click(store, commit) for _ in range(8)))
    opened = [launched.outcome.id for launched in clicks if isinstance(launched.outcome, Session)]
    assert sorted(opened) == sorted(standbys)
    assert [launched.outcome for launched in clicks if not isinstance(launched.outcome, Session)] == [Wait()] * 5


async def test_without_a_standby_one_session_is_wanted_however_many_click(store: Store, commit: Commit) -> None:
    build = await add_build(store, commit.repository)
    clicks = await asyncio.gather(*(click(store, commit) for _ in range(4)))
    assert [launched.outcome for launched in clicks] == [Wait()] * 4
    (wanted,) = await sessions_in(store)
    assert (wanted.state, wanted.image, wanted.build_id) == (SessionState.WANTED, IMAGE, build.id)
    assert is_session_id(wanted.id)
    assert is_token(wanted.token)


async def test_an_open_session_is_nobody_elses(store: Store, commit: Commit) -> None:
    await add_session(store, await add_build(store, commit.repository), SessionState.OPEN)
    assert (await click(store, commit)).outcome == Wait()
    assert len(await sessions_in(store)) == 2


async def test_a_standby_of_another_image_or_repository_is_not_taken(store: Store, commit: Commit) -> None:
    build = await add_build(store, commit.repository, result={"image": "another"})
    other = await add_repository(store, name="other")
    await add_session(store, await add_build(store, other))
    await add_session(store, build)
    assert (await click(store, commit)).outcome == Wait()


async def test_where_all_places_are_taken_it_says_so(store: Store, commit: Commit) -> None:
    build = await add_build(store, commit.repository)
    for _ in range(2):
        await add_session(store, build, SessionState.OPEN)
    assert (await click(store, commit, sessions_at_most=2)).outcome == Busy(1, 1)
    assert len(await sessions_in(store)) == 2


async def test_a_repository_has_its_share(store: Store, commit: Commit) -> None:
    build = await add_build(store, commit.repository)
    for _ in range(3):
        await add_session(store, build, SessionState.OPEN)
    await add_session(store, build)
    assert (await click(store, commit, per_repository=3)).outcome == Full(3, of_forks=False)
    assert isinstance((await click(store, commit, per_repository=4)).outcome, Session)


async def test_commits_of_forks_have_a_part_of_it(store: Store, commit: Commit) -> None:
    await add_session(store, await add_build(store, commit.repository, sha="1" * 40), SessionState.OPEN)
    build = await add_build(store, commit.repository, untrusted=True)
    as_forks = replace(commit, untrusted=True)
    await add_session(store, build)
    assert isinstance((await click(store, as_forks, per_repository=4)).outcome, Session)
    assert (await click(store, as_forks, per_repository=4)).outcome == Full(1, of_forks=True)
    assert (await click(store, as_forks, per_repository=8)).outcome == Wait()


async def test_who_came_first_is_served_first(store: Store, commit: Commit) -> None:
    build = await add_build(store, commit.repository)
    taken = [await add_session(store, build, SessionState.OPEN) for _ in range(2)]
    queue = Queue()
    turns = {name: Turn(queue, name) for name in ("ada", "bob", "eve")}
    assert await outcome_of(store, commit, turns["ada"]) == Busy(1, 1)
    assert await outcome_of(store, commit, turns["bob"]) == Busy(2, 2)
    async with store.write() as session:
        (await session.get_one(Session, taken[0].id)).state = SessionState.ENDED
    assert await outcome_of(store, commit, turns["eve"]) == Busy(3, 3)
    assert await outcome_of(store, commit, turns["bob"]) == Busy(2, 3)
    assert await outcome_of(store, commit, turns["ada"]) == Wait()
    assert await outcome_of(store, commit, turns["bob"]) == Busy(1, 2)
    async with store.write() as session:
        (row,) = await session.scalars(select(Session).where(Session.state == SessionState.WANTED))
        row.state = SessionState.STANDBY
    assert await outcome_of(store, commit, turns["eve"]) == Busy(2, 2)
    assert isinstance(await outcome_of(store, commit, turns["ada"]), Session)
    assert await outcome_of(store, commit, turns["eve"]) == Busy(2, 2)


async def outcome_of(store: Store, commit: Commit, turn: Turn) -> object:
    """Click in turn, where there are two places."""
    return (await launch(store, commit, Launcher(None, lambda: None, turn), Quota(2, 9), utc_now())).outcome


async def test_visitors_with_turns_get_a_session_each_as_far_as_there_are_places(store: Store, commit: Commit) -> None:
    await add_build(store, commit.repository)
    queue = Queue()
    outcomes = [await outcome_of(store, commit, Turn(queue, name)) for name in ("ada", "bob", "eve", "ada", "bob")]
    assert outcomes == [Wait(), Wait(), Busy(1, 1), Wait(), Wait()]
    assert [row.state for row in await sessions_in(store)] == [SessionState.WANTED] * 2


async def test_a_session_that_did_not_start_is_told_of_and_tried_again_later(store: Store, commit: Commit) -> None:
    build = await add_build(store, commit.repository)
    row = await add_session(store, build, SessionState.FAILED, reason="No kernel answered.", ended_at=utc_now())
    assert (await click(store, commit)).outcome == StartFailed("No kernel answered.")
    async with store.write() as session:
        (await session.get_one(Session, row.id)).ended_at = utc_now() - timedelta(minutes=2)
    assert (await click(store, commit)).outcome == Wait()


async def test_a_standby_that_died_is_no_failed_start(store: Store, commit: Commit) -> None:
    build = await add_build(store, commit.repository)
    await add_session(store, build, SessionState.FAILED, ready_at=utc_now(), ended_at=utc_now())
    assert (await click(store, commit)).outcome == Wait()


async def test_a_failed_build_stands(store: Store, commit: Commit) -> None:
    fault = {"party": "repository", "message": "no such package"}
    await add_build(store, commit.repository, BuildState.FAILED, fault=fault, finished_at=utc_now())
    assert (await click(store, commit)).outcome == BuildFailed()


async def test_a_fault_of_the_world_is_tried_again(store: Store, commit: Commit) -> None:
    ended = utc_now() - timedelta(minutes=5)
    failed = await add_build(
        store, commit.repository, BuildState.FAILED, fault={"party": "world", "message": "no answer"}, finished_at=ended
    )
    launched = await click(store, commit)
    assert launched.outcome == Wait()
    assert launched.build.id != failed.id


async def test_those_who_wait_change_nothing_and_wake_nobody(store: Store, commit: Commit) -> None:
    await add_build(store, commit.repository, BuildState.BUILDING)
    changed = store.changed.subscribe()
    await click(store, commit)
    assert not changed.is_set()
