"""Services with pods of their own on a real cluster: met by their session's pods, and by nobody else's."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from binder.errors import OperatorFault, RepositoryFault
from deploy import kubernetes_services, service_manifests
from deploy.engine import ServiceState, SessionSpec
from deploy.kubernetes import KubernetesEngine
from deploy.manifests import pod_name, service_host
from modules.services import Services
from tests.cluster.given import Cluster, Namespace, Pod, until
from tests.deploy.conftest import new_spec
from tests.deploy.services import ODD, PORT, apart, store, that_does, with_seed

pytestmark = pytest.mark.cluster

_KINDS = (
    "apis/apps/v1/namespaces/{}/deployments",
    "apis/apps/v1/namespaces/{}/replicasets",
    "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "api/v1/namespaces/{}/services",
    "api/v1/namespaces/{}/secrets",
    "api/v1/namespaces/{}/pods",
)


@pytest.fixture
async def image(kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster) -> str:
    # What lets a session's pods meet lets them do nothing else: names and the internet are this policy's.
    await kubernetes_engine.close_network([f"{cluster.host}/32"])
    return odd_cluster_images("small")


def _spec(engine: KubernetesEngine, image: str, made: Services | None = None) -> SessionSpec:
    spec = new_spec(image)
    host = service_host(engine.instance, spec.id, "store-server")
    return replace(spec, services=apart(made or store(image), host))


def _notebook(engine: KubernetesEngine, cluster: Cluster, spec: SessionSpec) -> Pod:
    return Namespace(cluster, engine.namespace).known(pod_name(engine.instance, spec.id))


def _greeting(spec: SessionSpec) -> tuple[str, ...]:
    (service,) = spec.services.services
    return ("wget", "-q", "-O", "-", f"http://{service.host}:{PORT}/greeting")


def _left(engine: KubernetesEngine, cluster: Cluster) -> list[str]:
    """Return what there is of sessions, by kind and name."""
    found = [(kind, one) for kind in _KINDS for one in cluster.api.list("/" + kind.format(engine.namespace))]
    ours = [(kind, one) for kind, one in found if "binder.session" in one["metadata"].get("labels", {})]
    return [f"{kind.rpartition('/')[2]} {one['metadata']['name']}" for kind, one in ours]


async def test_a_service_has_a_pod_of_its_own_which_the_notebook_and_seeds_reach_by_name(
    kubernetes_engine: KubernetesEngine, image: str, cluster: Cluster
) -> None:
    spec = _spec(kubernetes_engine, image)
    (service,) = spec.services.services
    sow = ("sh", "-c", 'echo "sown: $GREETING" | nc -w 5 "$0" 8071', service.host)
    spec = replace(spec, services=with_seed(spec.services, *sow))
    await kubernetes_engine.start(spec)
    notebook = _notebook(kubernetes_engine, cluster, spec)
    assert await asyncio.to_thread(notebook.execute, *_greeting(spec)) == ODD
    assert (await kubernetes_engine.running())[spec.id].services == {"store-server": ServiceState(ready=True)}
    seeds = (*_greeting(spec)[:-1], f"http://{service.host}:{PORT}/seeds")
    sown = ""
    for _ in range(50):  # what was sent has to be written yet
        sown = sown or await asyncio.to_thread(notebook.execute, *seeds)
        await asyncio.sleep(0.1)
    assert sown == f"sown: to {ODD}\n"
    assert "ready" in await kubernetes_engine.log_of(spec.id, "store-server")


async def test_a_notebook_that_does_not_reach_its_services_is_the_clusters_fault(
    kubernetes_engine: KubernetesEngine, image: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_manifests, "MEETING_SCRIPT", "echo store:8070: timed out; exit 1")
    with pytest.raises(OperatorFault, match=r"does not reach its services, which run\..* store:8070: timed out"):
        await kubernetes_engine.start(_spec(kubernetes_engine, image))
    gone = f"is left: {_left(kubernetes_engine, cluster)}"
    await asyncio.to_thread(until, lambda: not _left(kubernetes_engine, cluster), gone, seconds=20)


async def test_no_other_session_meets_a_service(
    kubernetes_engine: KubernetesEngine, image: str, cluster: Cluster
) -> None:
    one, other = _spec(kubernetes_engine, image), _spec(kubernetes_engine, image)
    await asyncio.gather(*(kubernetes_engine.start(spec) for spec in (one, other)))
    notebook = _notebook(kubernetes_engine, cluster, one)
    assert await asyncio.to_thread(notebook.execute, *_greeting(one)) == ODD
    (theirs,) = other.services.services
    reaches = notebook.reaches
    await asyncio.to_thread(until, lambda: not reaches(theirs.host, PORT), "another session's service is met")
    namespace = Namespace(cluster, kubernetes_engine.namespace)
    own = next(pod for pod in namespace.list("pods") if "binder.service" in pod["metadata"].get("labels", {}))
    policies = cluster.api.list("/" + _KINDS[2].format(kubernetes_engine.namespace))
    assert len(policies) == 3
    assert own["spec"]["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    # It is the policy, and nothing else.
    for policy in policies:
        kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": policy["metadata"]}
        cluster.api.delete(kind)
    await asyncio.to_thread(until, lambda: reaches(theirs.host, PORT), "it cannot be reached without a policy either")


async def test_all_goes_with_the_session(kubernetes_engine: KubernetesEngine, image: str, cluster: Cluster) -> None:
    spec = _spec(kubernetes_engine, image)
    await kubernetes_engine.start(spec)
    kinds = sorted(one.partition(" ")[0] for one in _left(kubernetes_engine, cluster))
    assert kinds == ["deployments", "networkpolicies", "pods", "pods", "replicasets", "secrets", "services"]
    await kubernetes_engine.stop(spec.id)
    assert await kubernetes_engine.running() == {}
    until_gone = "something of it is left"
    await asyncio.to_thread(until, lambda: not _left(kubernetes_engine, cluster), until_gone, seconds=20)


async def test_a_session_that_is_started_again_at_once_is_a_new_one(
    kubernetes_engine: KubernetesEngine, image: str, cluster: Cluster
) -> None:
    spec = _spec(kubernetes_engine, image)
    await kubernetes_engine.start(spec)
    await kubernetes_engine.start(spec)
    notebook = _notebook(kubernetes_engine, cluster, spec)
    runs = (*_greeting(spec)[:-1], _greeting(spec)[-1].replace("greeting", "runs"))
    assert (await asyncio.to_thread(notebook.execute, *runs)).count("run as") == 1
    assert (await kubernetes_engine.running())[spec.id].services == {"store-server": ServiceState(ready=True)}


async def test_a_pod_of_a_service_that_is_lost_is_replaced(
    kubernetes_engine: KubernetesEngine, image: str, cluster: Cluster
) -> None:
    spec = _spec(kubernetes_engine, image)
    await kubernetes_engine.start(spec)
    namespace = Namespace(cluster, kubernetes_engine.namespace)
    (lost,) = [pod for pod in namespace.list("pods") if "binder.service" in pod["metadata"]["labels"]]
    cluster.api.delete({"apiVersion": "v1", "kind": "Pod", "metadata": lost["metadata"]})
    states = []
    for _ in range(300):
        found = (await kubernetes_engine.running())[spec.id]
        assert found.alive
        states.append(found.services.get("store-server", ServiceState(ready=False)).ready)
        if states[-1] and False in states:
            break
        await asyncio.sleep(0.1)
    assert states[-1], "it does not come back"


async def test_a_service_that_does_not_come_up_is_said_and_leaves_nothing(
    kubernetes_engine: KubernetesEngine, image: str, cluster: Cluster
) -> None:
    spec = _spec(kubernetes_engine, image, that_does(store(image), "echo there is no such option; exit 9"))
    with pytest.raises(RepositoryFault, match=r"Store did not start\. It ended with exit code 9.*no such option"):
        await kubernetes_engine.start(spec)
    assert await kubernetes_engine.running() == {}


async def test_a_quota_that_is_used_up_is_said_of_the_module(
    kubernetes_engine: KubernetesEngine, image: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_services, "_PLACE_SECONDS", 3.0)
    hard: Any = {"spec": {"hard": {"requests.memory": "1Mi"}}}
    Namespace(cluster, kubernetes_engine.namespace).create("v1", "ResourceQuota", "small", **hard)
    with pytest.raises(OperatorFault, match=r"The cluster did not start Store.*the quota of its namespace is used up"):
        await kubernetes_engine.start(_spec(kubernetes_engine, image))
    assert await kubernetes_engine.running() == {}
