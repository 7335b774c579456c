"""A build in a pod: what it does before it begins."""

from pathlib import Path

import pytest

from binder.cli.build_job import make_room
from binder.containers import prepare_engine
from binder.paths import Paths
from binder.process import Account
from binder.service.folders import open_lock, try_lock
from binder.settings import read_settings

pytestmark = pytest.mark.slow


@pytest.fixture
async def cache(reachable_path: Path, account: Account) -> Paths:
    """A cache of a node, in which something is."""
    paths = Paths(reachable_path / "state", reachable_path / "cache")
    paths.make(account)
    await prepare_engine(paths, account)
    for folder in (paths.git, paths.packages, paths.engine / "storage"):
        (folder / "kept").write_text("x")
    return paths


def _kept(paths: Paths) -> list[str]:
    return sorted(str(path.relative_to(paths.cache)) for path in paths.cache.rglob("kept"))


ALL = ["engine/storage/kept", "git/kept", "packages/kept"]


async def test_a_cache_is_emptied_when_its_disk_is_nearly_full(cache: Paths, account: Account) -> None:
    await make_room(read_settings(disk_reserve_bytes=0), cache, account)
    assert _kept(cache) == ALL
    await make_room(read_settings(disk_reserve_bytes=2**60), cache, account)
    assert _kept(cache) == []
    assert cache.git.stat().st_uid == account.uid


async def test_a_cache_that_another_build_uses_is_let_be(cache: Paths, account: Account) -> None:
    with open_lock(cache.cache / "in-use") as descriptor:
        assert try_lock(descriptor)
        await make_room(read_settings(disk_reserve_bytes=2**60), cache, account)
    assert _kept(cache) == ALL
