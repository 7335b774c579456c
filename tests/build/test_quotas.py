"""Who of those that wait is built next, with a real store."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from binder.errors import OperatorFault, RepositoryFault
from binder.lifecycle import BuildState
from binder.store import Store
from binder.store.tables import Build, utc_now
from build.quotas import IN_WORK, ForkQuota
from tests.binder.rows import SHA, add_repository


async def _queue(store: Store, repository: str, *untrusted: bool) -> list[int]:
    """Queue builds of a new repository, and return their ids."""
    row = await add_repository(store, repository)
    builds = [Build(repository_id=row.id, sha=SHA, untrusted=one) for one in untrusted]
    async with store.write() as session:
        session.add_all(builds)
    return [build.id for build in builds]


async def _claimed(store: Store, quota: ForkQuota) -> Sequence[int]:
    """Take what may be taken, until nothing is left, and return the ids in their order."""
    found = []
    while build := await quota.claim(store, lease_seconds=30):
        found.append(build.id)
    return found


async def _set(store: Store, build_id: int, **values: object) -> None:
    async with store.write() as session:
        build = await session.get_one(Build, build_id)
        for name, value in values.items():
            setattr(build, name, value)


async def test_forks_wait_for_all_others(store: Store) -> None:
    fork, *own = await _queue(store, "one", True, False, False)
    assert await _claimed(store, ForkQuota(3, 60)) == [*own, fork]


async def test_a_repository_has_one_build_of_its_forks_at_a_time(store: Store) -> None:
    first, second = await _queue(store, "one", True, True)
    (other,) = await _queue(store, "other", True)
    quota = ForkQuota(3, 60)
    assert await _claimed(store, quota) == [first, other]
    await _set(store, first, state=BuildState.CHECKING, lease_owner=None, lease_until=None)
    assert await _claimed(store, quota) == [second]


@pytest.mark.parametrize("state", [BuildState.QUEUED, *IN_WORK])
async def test_no_more_forks_are_built_than_may_whoever_builds_them(store: Store, state: BuildState) -> None:
    waiting = [(await _queue(store, name, True))[0] for name in ("one", "two", "three")]
    theirs = {"lease_owner": "elsewhere:1:a", "lease_until": utc_now() + timedelta(seconds=30)}
    await _set(store, waiting[0], state=state, **theirs)
    assert await _claimed(store, ForkQuota(1, 60)) == []
    assert await _claimed(store, ForkQuota(2, 60)) == [waiting[1]]


async def test_one_whose_builder_died_is_in_nobodys_way(store: Store) -> None:
    dead, waiting = await _queue(store, "one", True, True)
    await _set(store, dead, state=BuildState.BUILDING, lease_until=utc_now() - timedelta(seconds=1))
    assert await _claimed(store, ForkQuota(1, 60)) == [waiting]


async def test_where_none_may_be_built_each_is_told_so() -> None:
    quota = ForkQuota(0, 60)
    with pytest.raises(OperatorFault, match="builds no commits of forks"):
        async with quota.time(Build(untrusted=True)):
            pytest.fail("it was let in")
    async with quota.time(Build(untrusted=False)):
        pass


async def test_a_fault_of_a_fork_stays_what_it_is() -> None:
    with pytest.raises(RepositoryFault, match="no such package"):
        async with ForkQuota(1, 60).time(Build(untrusted=True)):
            raise RepositoryFault("no such package", step="environment")
