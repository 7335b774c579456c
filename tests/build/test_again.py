"""Environments are made again when there is nothing else to do, one at a time, and each is tried once."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from binder.lifecycle import BuildState
from binder.store import Store
from binder.store.tables import Build, Repository
from build.again import Rebuilder
from build.images import LocalTexts
from build.lock import Lock, lock_text
from tests.build.machines import new_machine, remove_machine
from tests.builds import Builder, new_limits

pytestmark = pytest.mark.slow

_GONE = json.dumps({"parent": ["base", "0" * 32], "lock": lock_text(Lock("six==1.17.0\n"))})


@pytest.fixture
async def machine(builder: Builder, reachable_path: Path) -> AsyncIterator[Builder]:
    """Give a machine that has no image."""
    machine = await new_machine(reachable_path / "machine", builder)
    yield machine
    await remove_machine(machine)


def _rebuilder(store: Store, machine: Builder) -> Rebuilder:
    return Rebuilder(store, machine.wired.again, machine.paths, new_limits(machine.paths), secrets=frozenset())


async def _build_in(store: Store, state: BuildState) -> int:
    async with store.write() as session:
        repository = Repository(host="local", owner="ada", name=state, clone_url="file:///x")
        session.add(repository)
        await session.flush()
        build = Build(repository_id=repository.id, sha="a" * 40, state=state)
        session.add(build)
    return build.id


async def test_nothing_is_made_again_where_nothing_was_exchanged(store: Store, machine: Builder) -> None:
    assert await _rebuilder(store, machine).step() is False


@pytest.mark.parametrize("state", [BuildState.QUEUED, BuildState.FETCHING, BuildState.BUILDING, BuildState.CHECKING])
async def test_builds_come_first(store: Store, machine: Builder, state: BuildState) -> None:
    await LocalTexts(machine.paths).write("again-a", _GONE)
    await _build_in(store, state)
    assert await _rebuilder(store, machine).step() is False
    assert machine.wired.again.due() == "a"


@pytest.mark.parametrize("text", [_GONE, json.dumps({"parent": ["base", "0"], "lock": "of another version"})])
async def test_each_is_tried_once_whatever_comes_of_it(store: Store, machine: Builder, text: str) -> None:
    """What it lay on was removed meanwhile, or its lock cannot be read."""
    await _build_in(store, BuildState.SUCCEEDED)
    for key in ("a", "b"):
        await LocalTexts(machine.paths).write(f"again-{key}", text)
    rebuilder = _rebuilder(store, machine)
    assert [await rebuilder.step() for _ in range(3)] == [True, True, False]
    assert list(machine.paths.work.iterdir()) == []
    assert list(machine.paths.locks.iterdir()) == []
