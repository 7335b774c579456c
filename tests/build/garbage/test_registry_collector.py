"""Garbage of a real registry."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from binder.lifecycle import BuildState
from binder.paths import Paths
from binder.store import Store
from binder.store.tables import Build, Preview
from binder.uses import last_uses, mark_used
from build.garbage.choice import Policy
from build.garbage.registry_collector import RegistryCollector
from build.registries.registry import Registry
from tests.binder.rows import SHA, add_repository
from tests.build.registry_servers import RunningRegistry, opened, running_registry
from tests.build.small_images import ago

pytestmark = pytest.mark.slow

ARTIFACT = "application/vnd.example.text.v1"
AGED = Policy(age=timedelta(days=10), disk_bytes=None, grace=timedelta(hours=2))
OLD, NEW, ENVIRONMENT = f"content-{'1' * 32}", f"content-{'2' * 32}", f"environment-{'3' * 32}"
LOCK = f"lock-{'4' * 32}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
async def registry(server: RunningRegistry, tmp_path: Path) -> AsyncIterator[Registry]:
    async with opened(server.host, f"test/{tmp_path.name.replace('_', '-')}") as registry:
        yield registry


@pytest.fixture
def folders(tmp_path: Path) -> Paths:
    (tmp_path / "cache").mkdir()
    return Paths(tmp_path / "state", tmp_path / "cache")


@pytest.fixture
def collector(store: Store, registry: Registry, folders: Paths) -> RegistryCollector:
    return RegistryCollector(store, registry, folders, AGED)


async def _put(registry: Registry, folders: Paths, tag: str, days: float, *, text: str = "") -> None:
    await registry.put_artifact(tag, (text or tag).encode(), ARTIFACT)
    await mark_used(folders, [tag], at=ago(days))


async def test_what_was_not_used_for_the_age_goes_with_its_record(
    collector: RegistryCollector, registry: Registry, folders: Paths
) -> None:
    await _put(registry, folders, OLD, 11)
    await _put(registry, folders, f"record-{OLD}", 11)
    await _put(registry, folders, NEW, 9)
    await _put(registry, folders, ENVIRONMENT, 11)
    await _put(registry, folders, "somebody-elses", 100)
    garbage = await collector.look()
    assert ([tag.tag for tag in garbage.gone], garbage.stored) == ([OLD, f"record-{OLD}"], 4)
    assert await collector.remove(garbage) == 2
    assert {tag for tag in await registry.tags() if await registry.digest(tag)} == {NEW, ENVIRONMENT, "somebody-elses"}
    assert OLD not in last_uses(folders)


async def test_what_is_seen_for_the_first_time_counts_as_used(
    collector: RegistryCollector, registry: Registry, folders: Paths
) -> None:
    await registry.put_artifact(OLD, b"unknown", ARTIFACT)
    assert (await collector.look()).gone == ()
    assert OLD in last_uses(folders)


async def test_two_tags_of_one_digest_go_together_or_not_at_all(
    collector: RegistryCollector, registry: Registry, folders: Paths
) -> None:
    await _put(registry, folders, OLD, 11, text="same")
    await _put(registry, folders, NEW, 9, text="same")
    assert (await collector.look()).gone == ()
    await registry.put_artifact(NEW, b"other", ARTIFACT)
    assert [tag.tag for tag in (await collector.look()).gone] == [OLD]


async def test_what_a_preview_shows_or_a_build_reaches_for_stays(
    collector: RegistryCollector, registry: Registry, folders: Paths, store: Store
) -> None:
    await _put(registry, folders, OLD, 100)
    await _put(registry, folders, NEW, 100)
    await _put(registry, folders, LOCK, 100)
    repository = await add_repository(store)
    async with store.write() as session:
        preview = Preview(repository_id=repository.id, kind="branch", ref="main", head_sha=SHA)
        session.add(preview)
        await session.flush()
        build = Build(repository_id=repository.id, preview_id=preview.id, sha=SHA, state=BuildState.SUCCEEDED)
        build.result = {"image": f"{registry.reference}:{OLD}", "layers": [], "locks": [LOCK]}
        session.add(build)
    garbage = await collector.look()
    assert [tag.tag for tag in garbage.gone] == [NEW]
    await mark_used(folders, [NEW])
    assert await collector.remove(garbage) == 0
    assert await registry.digest(NEW)
