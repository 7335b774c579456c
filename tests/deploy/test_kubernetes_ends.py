"""How sessions end on a real cluster that nobody stopped: each way says so in its own words, and others take over."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from binder.errors import OperatorFault
from binder.lifecycle import BuildState, SessionState
from binder.settings import read_settings
from binder.store import Store, open_store
from binder.store.tables import Session
from deploy.engine import Engine, SessionSpec
from deploy.keeper import Keeper
from deploy.kubernetes import KubernetesEngine
from deploy.kubernetes import kubernetes_engine as open_engine
from deploy.manifests import pod_name
from deploy.placement import Placement, Toleration
from tests.cluster.given import Cluster, Namespace
from tests.deploy.conftest import new_spec, until_it_left
from tests.proxy.rows import SHA, add_build, add_preview, add_repository

pytestmark = pytest.mark.cluster

_PRETENDED = "10.244.255.7"


@asynccontextmanager
async def _placed(engine: KubernetesEngine, placement: Placement) -> AsyncIterator[KubernetesEngine]:
    """Give the same engine, but that it places sessions otherwise."""
    async with open_engine(
        engine.connection, namespace=engine.namespace, instance=engine.instance, placement=placement
    ) as other:
        yield other


def _namespace(engine: KubernetesEngine, cluster: Cluster) -> Namespace:
    return Namespace(cluster, engine.namespace)


async def test_one_that_is_evicted_says_so_until_it_is_stopped(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster
) -> None:
    spec = new_spec(odd_cluster_images("waits"))
    await kubernetes_engine.start(spec)
    name = pod_name(kubernetes_engine.instance, spec.id)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{kubernetes_engine.namespace}/pods/{name}/eviction"
    cluster.api.ask("POST", path, eviction)
    found = await until_it_left(kubernetes_engine, spec.id)
    assert (found.reason, found.taken) == ("The operator has its node emptied.", True)
    await kubernetes_engine.stop(spec.id)
    assert await kubernetes_engine.running() == {}


@pytest.fixture
def gpu(cluster: Cluster) -> Iterator[str]:
    """What the cluster calls a GPU; it has one."""
    with cluster.extended_resource(1) as name:
        yield name


async def test_one_that_gives_way_says_to_what(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster, gpu: str
) -> None:
    namespace = _namespace(kubernetes_engine, cluster)
    with cluster.priority_class(-10) as low, cluster.priority_class(10) as high:
        async with _placed(kubernetes_engine, Placement({}, priority_class=low, gpu_resource=gpu)) as engine:
            spec = replace(new_spec(odd_cluster_images("waits")), gpus=1)
            await engine.start(spec)
            urgent = namespace.pod("urgent", "sleep", "600")
            urgent["spec"]["priorityClassName"] = high
            urgent["spec"]["containers"][0]["resources"] = {"limits": {gpu: "1"}}
            namespace.start(urgent)
            found = await until_it_left(engine, spec.id)
    assert found.reason == "Its place was given to something that the operator holds to be more important."


async def test_a_pod_that_fills_the_disk_is_ended_by_its_node_and_is_told_so(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str]
) -> None:
    async with _placed(kubernetes_engine, Placement({}, disk_bytes=8 * 2**20)) as engine:
        spec = new_spec(odd_cluster_images("fills"))
        await engine.start(spec)
        found = await until_it_left(engine, spec.id, seconds=120)  # a kubelet measures disks every ten seconds
    assert (found.reason, found.taken) == ("It used more disk than a session may.", False)


async def test_a_limit_range_that_a_session_does_not_keep_to_is_said(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster
) -> None:
    limits = {"type": "Container", "max": {"memory": "64Mi"}}
    _namespace(kubernetes_engine, cluster).create("v1", "LimitRange", "small", spec={"limits": [limits]})
    with pytest.raises(OperatorFault, match="than the cluster's LimitRange allows") as caught:
        await kubernetes_engine.start(new_spec(odd_cluster_images("waits")))
    assert "maximum memory usage per Container is 64Mi" in str(caught.value.__cause__)
    assert await kubernetes_engine.running() == {}


async def test_a_session_fits_what_a_quota_and_a_limit_range_usually_say(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster
) -> None:
    namespace = _namespace(kubernetes_engine, cluster)
    limits = {"type": "Container", "default": {"cpu": "1"}, "max": {"cpu": "2", "memory": "1Gi"}}
    namespace.create("v1", "LimitRange", "usual", spec={"limits": [limits]})
    hard = {"pods": "2", "requests.cpu": "1", "limits.cpu": "2", "requests.memory": "2Gi", "limits.memory": "2Gi"}
    namespace.create("v1", "ResourceQuota", "usual", spec={"hard": hard})
    await kubernetes_engine.start(new_spec(odd_cluster_images("waits")))


async def test_what_ran_on_a_node_that_is_lost_ends_and_a_standby_appears_elsewhere(
    kubernetes_engine: KubernetesEngine,
    odd_cluster_images: Callable[[str], str],
    cluster: Cluster,
    tmp_path: Path,
) -> None:
    settings = read_settings(state_dir=tmp_path)
    namespace = _namespace(kubernetes_engine, cluster)
    real = cluster.nodes()[0]["metadata"]["name"]
    with cluster.silent_node() as node, cluster.labelled(node, node):
        placement = Placement({node: "yes"}, (Toleration(node),))
        async with open_store(settings.store_url) as store, _placed(kubernetes_engine, placement) as engine:
            await _add_checking(store, odd_cluster_images("waits"))
            keeper = Keeper(store, engine, settings, _proven)
            before = await _next_standby(keeper, store, namespace, node)
            assert before.target == f"{_PRETENDED}:8888"
            await asyncio.to_thread(cluster.lose, node)
            with cluster.labelled(real, node):
                after = await _next_standby(keeper, store, namespace, node, after=before.id)
            assert after.target
            assert not after.target.startswith(_PRETENDED)
            async with store.read() as session:
                lost = await session.get_one(Session, before.id)
            assert (lost.state, lost.reason) == (SessionState.ENDED, "The node that it ran on was lost.")
            await keeper.close()


async def _next_standby(
    keeper: Keeper, store: Store, namespace: Namespace, silent: str, *, after: str | None = None
) -> Session:
    """Run the loop until there is another standby; what is bound to the silent node is said to run."""
    for _ in range(1500):
        await keeper.step()
        async with store.read() as session:
            standby = (await session.scalars(select(Session).where(Session.state == SessionState.STANDBY))).first()
        if standby and standby.id != after:
            return standby
        for pod in await asyncio.to_thread(namespace.list, "pods"):
            if pod["spec"].get("nodeName") == silent and pod["status"]["phase"] == "Pending":
                await asyncio.to_thread(namespace.pretend_to_run, pod["metadata"]["name"], _PRETENDED)
        await asyncio.sleep(0.1)
    raise AssertionError("there is no other standby")


async def _add_checking(store: Store, image: str) -> None:
    repository = await add_repository(store)
    preview = await add_preview(store, repository, "main", SHA)
    await add_build(store, repository, BuildState.CHECKING, sha=SHA, preview_id=preview.id, result={"image": image})


@asynccontextmanager
async def _proven(engine: Engine, spec: SessionSpec, target: str, *, timeout_seconds: float) -> AsyncIterator[None]:
    yield
