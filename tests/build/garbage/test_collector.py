"""Garbage of a real storage of the test's own, and of a real store."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from binder.lifecycle import BuildState, SessionState
from binder.process import Account
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Build, Preview, Session, utc_now
from binder.uses import last_uses, mark_used, using_foreign_images
from build.garbage.choice import Policy
from build.garbage.collector import Collector, policy_of
from modules.bound import Bound, BoundComponent, as_json
from tests.binder.rows import SHA, add_repository
from tests.build.small_images import SmallImages, ago, image_name, new_small_images, old_folder

pytestmark = pytest.mark.slow

AGED = Policy(age=timedelta(days=10), disk_bytes=None, grace=timedelta(hours=2))
ENVIRONMENT, CONTENT = image_name("environment", "e"), image_name("content", "c")


@pytest.fixture
async def small(reachable_path: Path, account: Account) -> SmallImages:
    return await new_small_images(reachable_path, account)


@pytest.fixture
def collector(store: Store, small: SmallImages) -> Collector:
    return Collector(store, small.buildah, small.account, AGED)


async def _add_build(store: Store, image: str, *, live: bool = False, **values: Any) -> Build:
    """Add a build of an image that lies on `ENVIRONMENT`; with `live`, a preview shows it."""
    repository = await add_repository(store, name=f"of-{image[-8:]}")
    async with store.write() as session:
        preview = Preview(repository_id=repository.id, kind="branch", ref="main", head_sha=SHA, live=live)
        session.add(preview)
        await session.flush()
        layers = [{"kind": "environment", "key": "e" * 32, "reused": True}]
        result = {"image": image, "layers": layers, "way": "content"}
        build = Build(repository_id=repository.id, preview_id=preview.id, sha=SHA, result=result)
        build.state = BuildState.SUCCEEDED
        for name, value in values.items():
            setattr(build, name, value)
        session.add(build)
    return build


async def _add_session(store: Store, build: Build, image: str, state: SessionState, **values: Any) -> None:
    async with store.write() as session:
        row = Session(id="s" + "a" * 14 + state[0], token="t" * 43, image=image, build_id=build.id)
        row.repository_id, row.state = build.repository_id, state
        for name, value in values.items():
            setattr(row, name, value)
        session.add(row)


async def _image_of(store: Store, build: Build) -> str | None:
    async with store.read() as session:
        image: str | None = ((await session.get_one(Build, build.id)).result or {})["image"]
        return image


async def test_what_nobody_needs_goes_and_the_build_is_told(
    small: SmallImages, collector: Collector, store: Store
) -> None:
    await small.make(ENVIRONMENT, size=50_000)
    await small.make(CONTENT, on=ENVIRONMENT)
    build = await _add_build(store, CONTENT)
    garbage = await collector.look()
    assert [one.image.names for one in garbage.images] == [(CONTENT,), (ENVIRONMENT,)]
    assert garbage.image_bytes == garbage.stored_bytes > 51_000
    assert await small.names() == {ENVIRONMENT, CONTENT}  # a look changes nothing
    assert await collector.remove(garbage) == ()
    assert await small.names() == set()
    assert await _image_of(store, build) is None
    assert (await collector.look()).stored_bytes == 0


async def test_what_a_preview_shows_stays_with_what_it_lies_on(
    small: SmallImages, collector: Collector, store: Store
) -> None:
    await small.make(ENVIRONMENT)
    await small.make(CONTENT, on=ENVIRONMENT)
    other = image_name("content", "d")
    await small.make(other, on=ENVIRONMENT)
    build = await _add_build(store, CONTENT, live=True)
    await _add_build(store, other)
    await collector.remove(await collector.look())
    assert await small.names() == {ENVIRONMENT, CONTENT}
    assert await _image_of(store, build) == CONTENT


def _with_modules(*images: str) -> dict[str, Any]:
    """Return the result of a build of `CONTENT` whose sessions need these images besides."""
    components = tuple(BoundComponent(f"c{number}", image, {}, 1, 2**26) for number, image in enumerate(images))
    bound = Bound("mailbox", "1.0", "Mailbox", "single-node", {}, (), components, {})
    return {"image": CONTENT, "layers": [], "way": "content", "modules": as_json([bound])}


async def test_what_a_preview_shows_stays_with_the_images_of_its_modules(
    small: SmallImages, collector: Collector, store: Store
) -> None:
    base, module, other = image_name("base", "b"), image_name("module", "d"), image_name("module", "f")
    for name, on in ((CONTENT, "scratch"), (base, "scratch"), (module, base), (other, base)):
        await small.make(name, on=on)
    build = await _add_build(
        store, CONTENT, live=True, result=_with_modules(module, "quay.example/x@sha256:" + "0" * 64)
    )
    await collector.remove(await collector.look())
    assert await small.names() == {CONTENT, base, module}
    assert await _image_of(store, build) == CONTENT


async def test_a_build_whose_modules_image_has_gone_is_told(
    small: SmallImages, collector: Collector, store: Store
) -> None:
    await small.make(CONTENT)
    build = await _add_build(store, CONTENT, live=True, result=_with_modules(image_name("module", "d")))
    await collector.remove(await collector.look())
    assert await _image_of(store, build) is None


@pytest.mark.parametrize("state", [SessionState.WANTED, SessionState.STANDBY, SessionState.OPEN])
async def test_what_a_session_runs_stays(
    state: SessionState, small: SmallImages, collector: Collector, store: Store
) -> None:
    await small.make(CONTENT)
    await _add_session(store, await _add_build(store, CONTENT), CONTENT, state)
    assert (await collector.look()).images == ()


async def test_what_a_session_ran_lately_stays_for_the_age(
    small: SmallImages, collector: Collector, store: Store
) -> None:
    old, recent = image_name("content", "1"), image_name("content", "2")
    for image, letter, days in ((old, "o", 11), (recent, "r", 9)):
        await small.make(image)
        build = await _add_build(store, image)
        state = SessionState.ENDED if letter == "o" else SessionState.FAILED
        await _add_session(store, build, image, state, ended_at=ago(days))
    assert [one.image.names for one in (await collector.look()).images] == [(old,)]
    await collector.mark()
    assert (utc_now() - last_uses(small.paths)[recent.rpartition(":")[2]]).days == 9


async def test_what_is_being_checked_stays(small: SmallImages, collector: Collector, store: Store) -> None:
    await small.make(CONTENT)
    await _add_build(store, CONTENT, state=BuildState.CHECKING)
    assert (await collector.look()).images == ()


async def test_what_a_build_reaches_for_meanwhile_stays(small: SmallImages, collector: Collector) -> None:
    await small.make(CONTENT)
    garbage = await collector.look()
    await mark_used(small.paths, [CONTENT])
    (kept,) = await collector.remove(garbage)
    assert (kept.name, kept.reason) == (CONTENT, "It is in use, or was used meanwhile.")
    assert await small.names() == {CONTENT}


@pytest.mark.parametrize("delay_seconds", [0, 0.05, 0.1, 0.2])
async def test_an_image_that_is_found_after_it_was_marked_stays(
    delay_seconds: float, small: SmallImages, collector: Collector
) -> None:
    await small.make(CONTENT)
    garbage = await collector.look()
    removing = asyncio.create_task(collector.remove(garbage))
    await asyncio.sleep(delay_seconds)
    await mark_used(small.paths, [CONTENT])
    is_found = CONTENT in await small.names()
    kept = await removing
    assert is_found == (CONTENT in await small.names()) == bool(kept)


async def test_an_image_with_a_container_stays(small: SmallImages, collector: Collector) -> None:
    await small.make(ENVIRONMENT)
    await small.make(CONTENT, on=ENVIRONMENT)
    garbage = await collector.look()
    await small.run('buildah from "$1"', CONTENT)
    first, second = await collector.remove(garbage)
    assert first.name == CONTENT
    assert second.name == ENVIRONMENT
    assert await small.names() == {ENVIRONMENT, CONTENT}
    assert (await collector.look()).images == ()


async def test_an_image_of_two_names_goes_with_both(small: SmallImages, collector: Collector) -> None:
    await small.make(CONTENT)
    other = image_name("content", "d")
    await small.run('buildah tag "$1" "$2"', CONTENT, other)
    await mark_used(small.paths, [other], at=ago(50))
    (removal,) = (await collector.look()).images
    assert set(removal.image.names) == {CONTENT, other}
    assert await collector.remove(await collector.look()) == ()
    assert await small.names() == set()


async def test_images_of_others_go_unless_a_build_of_a_dockerfile_runs(
    small: SmallImages, collector: Collector
) -> None:
    foreign = "registry.example.org/debian:bookworm"
    await small.make(foreign)
    await small.make("", size=10)
    await small.make("registry.example.org/debian:new", days=1)
    async with using_foreign_images(small.paths):
        kept = await collector.remove(await collector.look())
    assert [one.reason for one in kept] == ["A build of a Dockerfile runs."] * 2
    assert await collector.remove(await collector.look()) == ()
    assert await small.names() == {"registry.example.org/debian:new"}
    assert (await collector.look()).stored == 1


async def test_a_budget_that_what_is_needed_exceeds_is_told(small: SmallImages, store: Store) -> None:
    await small.make(CONTENT, size=50_000)
    await small.make(image_name("content", "d"), size=10)
    await _add_build(store, CONTENT, live=True)
    collector = Collector(store, small.buildah, small.account, Policy(None, 20_000, timedelta(hours=2)))
    garbage = await collector.look()
    assert [one.image.names for one in garbage.images] == [(image_name("content", "d"),)]
    assert garbage.over_bytes > 30_000


async def test_the_loop_says_what_is_needed_and_removes_what_is_not(
    small: SmallImages, collector: Collector, store: Store
) -> None:
    await small.make(ENVIRONMENT)
    await small.make(CONTENT, on=ENVIRONMENT)
    await small.make(image_name("content", "d"))
    leftover = old_folder(small.paths.work / "x-1", 3)
    await _add_build(store, CONTENT, live=True)
    assert await collector.step() is False
    assert await small.names() == {ENVIRONMENT, CONTENT}
    assert not leftover.exists()
    uses = last_uses(small.paths)
    for image in (ENVIRONMENT, CONTENT):
        assert utc_now() - uses[image.rpartition(":")[2]] < timedelta(minutes=1)
    # What another service needs is known here by its marks alone.
    await small.make(image_name("content", "f"))
    assert await collector.step() is False
    assert image_name("content", "f") in await small.names()  # it looks once an hour


async def test_the_lock_of_what_was_built_stays(small: SmallImages, collector: Collector, store: Store) -> None:
    kept, gone = f"lock-{'a' * 32}", f"lock-{'b' * 32}"
    build = await _add_build(store, CONTENT)
    async with store.write() as session:
        row = await session.get_one(Build, build.id)
        row.result = {**(row.result or {}), "locks": [kept]}
    for name in (kept, gone):
        (small.paths.locks / name).touch()
        os.utime(small.paths.locks / name, (0, 0))
    await collector.remove(await collector.look())
    assert [path.name for path in small.paths.locks.glob("lock-*")] == [kept]
    assert kept not in last_uses(small.paths)
    await collector.mark()
    assert kept in last_uses(small.paths)  # other services learn of it so


async def test_a_loop_that_may_remove_nothing_removes_nothing(small: SmallImages, store: Store) -> None:
    await small.make(CONTENT)
    lost = await _add_build(store, image_name("content", "f"))
    policy = policy_of(Settings(images_age_seconds=0, images_disk_bytes=0))
    await Collector(store, small.buildah, small.account, policy).step()
    assert await small.names() == {CONTENT}
    assert await _image_of(store, lost) is None  # an operator removed it, say


async def test_with_a_registry_an_image_that_is_not_here_is_not_lost(small: SmallImages, store: Store) -> None:
    build = await _add_build(store, CONTENT)
    await Collector(store, small.buildah, small.account, AGED, has_registry=True).step()
    assert await _image_of(store, build) == CONTENT


def test_the_policy_is_what_the_operator_says_last() -> None:
    settings = Settings(images_age_seconds=86400, images_disk_bytes=10**9, build_timeout_seconds=7200)
    assert policy_of(settings) == Policy(timedelta(days=1), 10**9, timedelta(hours=10))
    given = policy_of(settings, age_seconds=0, disk_bytes=0)
    assert given == Policy(timedelta(0), 0, timedelta(hours=10))
    assert policy_of(Settings(build_timeout_seconds=60)) == Policy(None, None, timedelta(hours=2))
