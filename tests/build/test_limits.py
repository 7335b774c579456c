"""What a build may use: real memory, a real control group, and a real disk."""

import asyncio

import pytest

from binder.cgroups import limits_for, read_cgroup_facts
from binder.errors import OperatorFault, RepositoryFault
from binder.paths import Paths
from build.limits import BuildLimits
from tests.builds import Builder, new_limits

pytestmark = pytest.mark.slow

_HUNGRY = "python3 -c 'x = bytearray(300 * 2**20); print(len(x))'"


async def test_a_step_that_wants_more_memory_than_a_build_may_use_fails_and_says_so(builder: Builder) -> None:
    limits = new_limits(builder.paths, memory_bytes=200 * 2**20)
    if limits_for(read_cgroup_facts()).explanation:
        async with limits.within("test"):  # where this machine allows no limits, the service says so at its start
            await builder.buildah.run_script(_HUNGRY, step="postBuild", take=None)
        return
    with pytest.raises(RepositoryFault, match="“postBuild” wanted more than the 210 MB of memory"):
        async with limits.within("test"):
            await builder.buildah.run_script(_HUNGRY, step="postBuild", take=None)
    assert limits.cgroups.names() == set()


async def test_a_fork_gives_way_to_others_on_the_processors(builder: Builder) -> None:
    limits = new_limits(builder.paths)
    async with limits.within("own"), limits.within("fork", untrusted=True):
        own, fork = _weight(limits, "own"), _weight(limits, "fork")
    if limits_for(read_cgroup_facts()).explanation:
        assert (own, fork) == (None, None)  # where this machine allows no limits, the service says so at its start
    else:
        assert own
        assert fork == own // 4


def _weight(limits: BuildLimits, name: str) -> int | None:
    places = (group / file for group in limits.cgroups.groups_of(name) for file in ("cpu.shares", "cpu.weight"))
    return next((int(place.read_text(encoding="ascii")) for place in places if place.exists()), None)


async def test_a_fault_of_another_kind_stays_what_it_is(builder: Builder) -> None:
    with pytest.raises(RepositoryFault, match="failed: no"):
        async with new_limits(builder.paths).within("test"):
            await builder.buildah.run_script("echo no; exit 1", step="postBuild", take=None)


async def test_a_disk_that_is_about_to_be_full_stops_a_build(engine_paths: Paths) -> None:
    with pytest.raises(OperatorFault, match=r"Less than 1000000 GB are free .* `binder gc` shows"):
        async with asyncio.timeout(10), new_limits(engine_paths, disk_reserve_bytes=10**15).within("test"):
            await asyncio.sleep(60)


async def test_who_is_stopped_otherwise_is_not_told_of_the_disk(engine_paths: Paths) -> None:
    async def build() -> None:
        async with new_limits(engine_paths).within("test"):
            await asyncio.sleep(60)

    task = asyncio.create_task(build())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
