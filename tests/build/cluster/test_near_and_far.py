"""What is told of a build that a pod does, and what of it is believed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from binder.errors import WorldFault
from binder.lifecycle import BuildState
from binder.paths import Paths
from binder.process import Account
from binder.settings import read_settings
from build.cluster.absent import AbsentBuildah
from build.cluster.builds import ClusterBuilds
from build.cluster.lines import Entered, Event, Planned, Said
from build.cluster.order import Order, known_by, order_for
from build.commits.git import Source
from build.host import HostFacts, settings_for
from build.images import RegistryImages
from build.log import BuildLog, FileLog
from build.pipeline import Built
from build.planner import Job
from build.registries.registry import Registry
from build.ways import BuiltLayer
from modules.bound import Bound, BoundComponent
from modules.catalogue import Catalogue
from tests.build.cluster.test_lines import BUILT
from tests.build.registry_servers import opened, put_parent, running_registry

_TOKEN = "token-of-the-repository"


class _NothingNear:
    """Does as the pipeline does where more is to be made than there is."""

    def __init__(self, buildah: AbsentBuildah) -> None:
        self._buildah = buildah

    async def build(self, job: Job) -> Built:
        await job.enter(BuildState.FETCHING)
        await self._buildah.pull("registry.example/base:1")
        raise AssertionError("there is no Buildah")


@dataclass
class _Far:
    """A pod that says what a test wants."""

    says: list[Event]
    built: Built
    orders: list[Order] = field(default_factory=list)

    async def run(self, order: Order, heard: Callable[[Event], Awaitable[None]]) -> Built:
        self.orders.append(order)
        for event in self.says:
            await heard(event)
        return self.built


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    """A registry in which one image is."""
    with running_registry(tmp_path) as running:
        async with opened(running.host) as registry:
            yield registry


async def _build(registry: Registry, far: _Far, account: Account, folder: Path) -> tuple[Built, list[object]]:
    paths = Paths(folder / "state", folder / "cache")
    paths.make(account)
    buildah = AbsentBuildah(paths, account, timeout_seconds=1)
    known = known_by(settings_for(HostFacts({}, "", {}, None)))
    told: list[object] = []

    async def entered(state: BuildState) -> None:
        told.append(state)

    async def planned(layers: object) -> None:
        told.append(layers)

    def order_of(job: Job) -> Order:
        return order_for(read_settings(), known, job.source, job.sha, name=job.name, mark="m", catalogue=Catalogue())

    notes = BuildLog(FileLog(folder / "log"), secrets={_TOKEN}, most_bytes=150)
    job = Job(Source("https://example.org/r.git", _TOKEN), "0" * 40, notes, folder, entered, planned, "7")
    builds = ClusterBuilds(_NothingNear(buildah), RegistryImages(registry, buildah), far, order_of)
    try:
        return await builds.build(job), told
    finally:
        await notes.close()


async def test_what_a_pod_says_is_told_as_if_it_were_built_here(
    registry: Registry, account: Account, reachable_path: Path
) -> None:
    layer = BUILT.layers[-1].layer
    digest = await put_parent(registry, layer.tag)
    module = await put_parent(registry, f"module-{'8' * 32}")
    assert module
    built = replace(BUILT, image=f"{registry.reference}:{layer.tag}", digest=digest, modules=_modules(registry, "8"))
    says: list[Event] = [
        Entered(BuildState.FETCHING),
        Said(f"cloned with {_TOKEN}"),
        Planned(BUILT.layers),
        Entered(BuildState.PUSHING),
        Said("x" * 100),
        Said("y"),
    ]
    far = _Far(says, built)
    made, told = await _build(registry, far, account, reachable_path)
    assert made == built
    assert told == [BuildState.FETCHING, BuildState.FETCHING, BUILT.layers, BuildState.PUSHING]
    (order,) = far.orders
    assert (order.name, order.sha, order.source.token) == ("7", "0" * 40, _TOKEN)
    log = (reachable_path / "log").read_text()
    assert _TOKEN not in log
    assert log.endswith("==> The log is full: what came after this is not kept.\n")


def _modules(registry: Registry, letter: str) -> tuple[Bound, ...]:
    """Return modules with an image of a registry, and one that is named by its digest."""
    ours, other = f"{registry.reference}:module-{letter * 32}", "quay.example/x@sha256:" + "0" * 64
    components = tuple(BoundComponent(f"c{number}", image, {}, 1, 1) for number, image in enumerate((ours, other)))
    return (Bound("a", "1", "A", "single-node", {}, (), components, {}),)


@pytest.mark.parametrize("lie", ["image", "digest", "layer", "module", "other"])
async def test_an_image_that_is_not_where_a_pod_says_is_none(
    lie: str, registry: Registry, account: Account, reachable_path: Path
) -> None:
    layer = BUILT.layers[-1].layer
    digest = await put_parent(registry, layer.tag)
    built = replace(BUILT, image=f"{registry.reference}:{layer.tag}", digest=digest, modules=())
    other = BuiltLayer(replace(layer, key="9" * 32), reused=False)
    lies = {
        "image": replace(built, image="registry.example/other:1"),
        "digest": replace(built, digest="sha256:" + "0" * 64),
        "module": replace(built, modules=_modules(registry, "7")),
        "other": replace(built, modules=BUILT.modules),
        "layer": replace(built, layers=(other,), image=f"{registry.reference}:{other.layer.tag}"),
    }
    with pytest.raises(WorldFault, match="is not in the registry"):
        await _build(registry, _Far([], lies[lie]), account, reachable_path)
