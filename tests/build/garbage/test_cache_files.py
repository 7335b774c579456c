"""Files of the cache folder: which are there, how long unused, and how they go."""

import asyncio
import shutil
from pathlib import Path

import pytest

from binder.process import Account
from binder.uses import last_uses, mark_used
from build.garbage.cache_files import CacheFiles, files_in
from build.garbage.choice import KeptFile
from tests.build.small_images import SmallImages, ago, new_small_images, old_file, old_folder

pytestmark = pytest.mark.slow

KEY = "0" * 32


@pytest.fixture
async def small(reachable_path: Path, account: Account) -> SmallImages:
    return await new_small_images(reachable_path, account)


@pytest.fixture
def files(small: SmallImages) -> CacheFiles:
    return CacheFiles(small.buildah, small.account)


def _days(small: SmallImages) -> dict[str, float]:
    """Return for how many days each file was not used."""
    return {f"{one.kind} {one.path.name}": (ago(0) - one.used_at).days for one in files_in(small.paths, ())}


def _found(small: SmallImages, name: str) -> KeptFile:
    return next(one for one in files_in(small.paths, ()) if one.path.name == name)


async def test_each_file_says_when_it_was_last_used(small: SmallImages) -> None:
    old_folder(small.paths.git / "old", 30, ["made", "objects/pack/x"])
    old_file(small.paths.git / "old.lock", 25)
    old_folder(small.paths.git / "fetched-again", 30, ["objects/x"])
    old_file(small.paths.git / "fetched-again/made", 5)
    old_file(small.paths.git / "fetched-again.lock", 6)
    old_folder(small.paths.work / "instance-1", 4)
    old_file(small.paths.locks / f"lock-{KEY}", 40)
    old_file(small.paths.locks / f"record-content-{KEY}", 40)
    old_file(small.paths.locks / f"record-base-{KEY}", 40)
    await mark_used(small.paths, [f"content-{KEY}"], at=ago(3.5))
    found = _days(small)
    assert found.pop("git fetched-again") <= 5
    assert found == {
        "git old": 25,
        "work instance-1": 4,
        f"lock lock-{KEY}": 40,
        f"lock record-content-{KEY}": 3,
        f"lock record-base-{KEY}": 40,
        f"mark content-{KEY}": 3,
    }
    assert [one for one in files_in(small.paths, [f"content-{KEY}"]) if one.kind == "mark"] == []
    assert _found(small, "old").bytes == 2 * len("content")


@pytest.mark.parametrize("name", ["repository", f"lock-{KEY}", "instance-1", f"content-{KEY}"])
async def test_a_file_goes(name: str, small: SmallImages, files: CacheFiles) -> None:
    repository = old_folder(small.paths.git / "repository", 30)
    if small.account.is_other:
        for path in (repository, *repository.iterdir()):
            shutil.chown(path, small.account.uid, small.account.gid)
    old_folder(small.paths.work / "instance-1", 30)
    old_file(small.paths.locks / f"lock-{KEY}", 30)
    await mark_used(small.paths, [f"content-{KEY}"], at=ago(30))
    before = {one.path for one in files_in(small.paths, ())}
    assert await files.remove(_found(small, name)) is None
    (gone,) = before - {one.path for one in files_in(small.paths, ())}
    assert gone.name == name
    assert not gone.exists()


async def test_a_repository_that_is_being_fetched_stays(small: SmallImages, files: CacheFiles) -> None:
    old_folder(small.paths.git / "repository", 30)
    lock = old_file(small.paths.git / "repository.lock", 30)
    lock.chmod(0o666)
    found = _found(small, "repository")
    fetching = await asyncio.create_subprocess_exec(
        *("flock", "--no-fork", lock, "sh", "-c", "echo ready; exec sleep 60"), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert fetching.stdout
        await fetching.stdout.readline()
        assert "something is at it" in (await files.remove(found) or "")
    finally:
        fetching.terminate()
        await fetching.communicate()
    assert found.path.is_dir()


async def test_what_was_used_since_the_look_stays(small: SmallImages, files: CacheFiles) -> None:
    await mark_used(small.paths, [f"content-{KEY}"], at=ago(30))
    found = _found(small, f"content-{KEY}")
    await mark_used(small.paths, [f"content-{KEY}"])
    assert await files.remove(found) == "It was used meanwhile."
    assert f"content-{KEY}" in last_uses(small.paths)
