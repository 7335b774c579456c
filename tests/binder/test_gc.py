"""`binder gc`, run as an operator does, on a storage of the test's own."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from binder.cli.gc import size
from binder.process import Account
from binder.uses import mark_used
from tests.build.registry_servers import opened, running_registry
from tests.build.small_images import SmallImages, ago, image_name, new_small_images

OLD, NEW = image_name("content", "a"), image_name("content", "b")


@pytest.fixture
async def small(reachable_path: Path, account: Account) -> SmallImages:
    return await new_small_images(reachable_path, account)


async def _gc(small: SmallImages, *arguments: str, **settings: str) -> str:
    paths = small.paths
    folders = {"BINDER_STATE_DIR": str(paths.state), "BINDER_CACHE_DIR": str(paths.cache), "COLUMNS": "200"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "binder", "gc", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **folders, **settings},
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.slow
async def test_it_shows_what_would_go_and_removes_it_when_told(small: SmallImages) -> None:
    await small.make(OLD, size=2_000_000, days=40)
    await small.make(NEW, days=3)
    shown = await _gc(small)
    assert f"{OLD}  It was not used for 40 days.  2.0 MB" in shown
    assert NEW not in shown
    assert "Would remove 1 of 2 images and 0 files or folders: 2.0 MB. `--delete` does it." in shown
    assert await small.names() == {OLD, NEW}
    assert "Removed 1 of 2 images" in await _gc(small, "--delete")
    assert await small.names() == {NEW}
    assert "Would remove 0 of 1 images" in await _gc(small)


@pytest.mark.slow
async def test_the_options_stand_before_the_settings(small: SmallImages) -> None:
    await small.make(OLD, days=40)
    await small.make(NEW, days=3)
    setting = {"BINDER_IMAGES_AGE_SECONDS": str(90 * 86400)}
    assert "Would remove 0 of 2 images" in await _gc(small, **setting)
    assert "Would remove 2 of 2 images" in await _gc(small, "--older-than", "1", **setting)
    shown = await _gc(small, "--disk-budget", "0.000003", **setting)
    assert "Would remove 1 of 2 images" in shown
    assert "The disk budget is used up" in shown
    assert "and stays" not in shown


@pytest.mark.slow
async def test_the_registry_has_garbage_of_its_own(small: SmallImages, tmp_path: Path) -> None:
    with running_registry(tmp_path) as server:
        settings = {"BINDER_REGISTRY": f"{server.host}/test/gc", "BINDER_REGISTRY_PLAIN_HTTP": "true"}
        tag = OLD.rpartition(":")[2]
        async with opened(server.host, "test/gc") as registry:
            await registry.put_artifact(tag, b"text", "application/vnd.example.text.v1")
            await mark_used(small.paths, [tag], at=ago(40))
            assert f"{tag}: not used for 40 days" in await _gc(small, "--registry", **settings)
            assert await registry.digest(tag)
            assert "Removed 1, of 1 of 1 tags" in await _gc(small, "--registry", "--delete", **settings)
            assert await registry.digest(tag) is None


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (10**12, "1000.0 GB")]
)
def test_sizes_are_said_to_a_person(number: int, words: str) -> None:
    assert size(number) == words
