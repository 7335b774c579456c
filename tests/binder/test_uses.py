"""The marks that say when images were last used, and the locks around them."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from binder.paths import Paths
from binder.uses import (
    last_uses,
    mark_used,
    named,
    removing_foreign_images,
    removing_images,
    tag_of,
    using_foreign_images,
)

KEY = "0123456789abcdef" * 2
TAG = f"content-{KEY}"
THEN = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def folders(tmp_path: Path) -> Paths:
    (tmp_path / "cache").mkdir()
    return Paths(tmp_path / "state", tmp_path / "cache")


@pytest.mark.parametrize("repository", ["localhost/binder", "registry.example:5000/team/binder"])
@pytest.mark.parametrize(
    "kind", ["base", "system", "environment", "prepared", "content", "containerfile", "module", "lock"]
)
def test_the_name_of_our_image_says_its_kind_and_key(repository: str, kind: str) -> None:
    assert named(f"{repository}:{kind}-{KEY}") == (kind, KEY)
    assert tag_of(f"{repository}:{kind}-{KEY}") == tag_of(f"{kind}-{KEY}") == f"{kind}-{KEY}"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "registry.example/debian:bookworm",
        f"localhost/binder/content:{KEY}",
        f"localhost/binder:content-{KEY}0",
        f"localhost/binder:content-{KEY[1:]}",
        f"localhost/binder:other-{KEY}",
        f"localhost/binder:content-{KEY}\n",
        f"localhost/binder@sha256:{KEY}{KEY}",
    ],
)
def test_no_other_name_is_ours(name: str) -> None:
    assert named(name) is None
    assert tag_of(name) is None


async def test_a_use_is_seen_by_all_and_is_never_set_back(folders: Paths) -> None:
    assert last_uses(folders) == {}
    await mark_used(folders, [f"localhost/binder:{TAG}", "registry.example/debian:1"], at=THEN)
    assert last_uses(folders) == {TAG: THEN}
    await mark_used(folders, [f"registry.example/x:{TAG}"], at=THEN - timedelta(days=1))
    assert last_uses(folders) == {TAG: THEN}
    await mark_used(folders, [TAG])
    assert datetime.now(UTC) - last_uses(folders)[TAG] < timedelta(minutes=1)


async def test_nobody_marks_an_image_while_one_is_removed(folders: Paths) -> None:
    async with removing_images(folders):
        marking = asyncio.create_task(mark_used(folders, [TAG]))
        await asyncio.sleep(0.1)
        assert last_uses(folders) == {}
    await marking
    assert TAG in last_uses(folders)


async def test_images_of_others_stay_while_somebody_uses_them(folders: Paths) -> None:
    async with using_foreign_images(folders), using_foreign_images(folders):
        async with removing_foreign_images(folders) as is_alone:
            assert not is_alone
        await mark_used(folders, [TAG])  # our own are not kept from anybody
    async with removing_foreign_images(folders) as is_alone:
        assert is_alone
