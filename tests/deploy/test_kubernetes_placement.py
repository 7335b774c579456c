"""Where a real cluster runs sessions: on the nodes that were chosen, with GPUs, and before what gives way to them."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from binder.errors import OperatorFault
from deploy import kubernetes
from deploy.engine import SessionSpec
from deploy.kubernetes import KubernetesEngine
from deploy.kubernetes import kubernetes_engine as open_engine
from deploy.placement import Placement
from tests.cluster.given import Cluster, Namespace, Pod, until
from tests.deploy.conftest import new_spec

pytestmark = pytest.mark.cluster


@pytest.fixture
def gpu(cluster: Cluster) -> Iterator[str]:
    """What the cluster calls a GPU; it has one."""
    with cluster.extended_resource(1) as name:
        yield name


def _holder(namespace: Namespace, gpu: str, priority_class: str) -> Pod:
    """Start a pod that holds the GPU, and does nothing."""
    pod = namespace.pod("holder", "sleep", "600")
    pod["spec"]["priorityClassName"] = priority_class
    pod["spec"]["containers"][0]["resources"] = {"limits": {gpu: "1"}}
    return namespace.start(pod)


def _computing(image: str) -> SessionSpec:
    return replace(new_spec(image), gpus=1)


async def test_a_placeholder_gives_way_to_a_session_and_a_session_to_no_other(
    kubernetes_engine: KubernetesEngine,
    odd_cluster_images: Callable[[str], str],
    cluster: Cluster,
    gpu: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    namespace = Namespace(cluster, kubernetes_engine.namespace)
    with cluster.priority_class(-10) as low, cluster.priority_class(10) as high:
        holder = _holder(namespace, gpu, low)
        await asyncio.to_thread(until, lambda: holder.phase() == "Running", "the placeholder does not run")
        async with open_engine(
            kubernetes_engine.connection,
            namespace=namespace.name,
            instance=kubernetes_engine.instance,
            placement=Placement({}, priority_class=high, gpu_resource=gpu),
        ) as engine:
            first = _computing(odd_cluster_images("waits"))
            await engine.start(first)
            names = [pod["metadata"]["name"] for pod in namespace.list("pods")]
            assert "holder" not in names
            monkeypatch.setattr(kubernetes, "_PLACE_SECONDS", 3.0)
            with pytest.raises(OperatorFault, match="GPU"):
                await engine.start(_computing(odd_cluster_images("waits")))
            assert set(await engine.running()) == {first.id}


async def test_nodes_are_chosen_by_their_labels(
    kubernetes_engine: KubernetesEngine,
    odd_cluster_images: Callable[[str], str],
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kubernetes, "_PLACE_SECONDS", 3.0)
    name = cluster.nodes()[0]["metadata"]["labels"]["kubernetes.io/hostname"]
    for selected, fits in (({"kubernetes.io/hostname": name}, True), ({"pool": "of-nobody"}, False)):
        async with open_engine(
            kubernetes_engine.connection,
            namespace=kubernetes_engine.namespace,
            instance=kubernetes_engine.instance,
            placement=Placement(selected),
        ) as engine:
            spec = new_spec(odd_cluster_images("waits"))
            if fits:
                await engine.start(spec)
            else:
                with pytest.raises(OperatorFault, match="no node"):
                    await engine.start(spec)
