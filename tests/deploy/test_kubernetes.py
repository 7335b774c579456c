"""Sessions on a real cluster: a kernel answers, what goes wrong is told apart, and others' pods are let alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient, Configuration

from binder.errors import OperatorFault, WorldFault
from deploy import kubernetes
from deploy.engine import Running
from deploy.kubernetes import KubernetesEngine
from deploy.kubernetes import kubernetes_engine as open_engine
from deploy.manifests import pod_name, secret_manifest
from deploy.pods import GONE
from deploy.probe import proof_of, run_cell, server_of
from tests.builds import Builder
from tests.cluster.api import Object
from tests.cluster.given import Cluster, Namespace, until
from tests.cluster.relay import relay_to
from tests.deploy.conftest import connection_of, new_spec, until_it_left

pytestmark = pytest.mark.cluster

_PUSH = 'buildah push --quiet --tls-verify=false "$1" "docker://$2"'


@pytest.fixture(scope="session")
def jupyter_image_of_the_registry(builder: Builder, jupyter_image: str, cluster: Cluster) -> str:
    """The real image, in the cluster's registry."""
    name = f"{cluster.registry}/jupyter:1"
    asyncio.run(builder.buildah.run_script(_PUSH, jupyter_image, name, step="push", take=None))
    return name


async def test_a_kernel_of_a_real_image_answers(
    kubernetes_engine: KubernetesEngine, jupyter_image_of_the_registry: str
) -> None:
    spec = new_spec(jupyter_image_of_the_registry)
    target = await kubernetes_engine.start(spec)
    async with proof_of(kubernetes_engine, spec, target, timeout_seconds=60):
        pass
    url = server_of(spec.id, target, spec.token).url
    code = "import os; print(os.getuid(), os.path.exists('/var/run/secrets/kubernetes.io'), 6 * 7)"
    assert (await run_cell(url, spec.token, code, timeout_seconds=60)).strip() == "1000 False 42"


async def test_a_session_that_takes_too_much_memory_says_so(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str]
) -> None:
    spec = replace(new_spec(odd_cluster_images("grows")), memory_bytes=32 * 2**20)
    await kubernetes_engine.start(spec)
    found = await until_it_left(kubernetes_engine, spec.id)
    assert (found.exit_code, found.reason) == (137, "It ran out of memory.")


async def test_a_session_that_no_node_has_room_for_is_given_up(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "_PLACE_SECONDS", 3.0)
    with pytest.raises(OperatorFault, match="no node has enough memory left"):
        await kubernetes_engine.start(replace(new_spec(odd_cluster_images("waits")), memory_bytes=2**50))
    assert await kubernetes_engine.running() == {}


async def test_a_quota_that_is_used_up_is_said(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster
) -> None:
    metadata = {"name": "one", "namespace": kubernetes_engine.namespace}
    cluster.api.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": 1}}}
    )
    first = new_spec(odd_cluster_images("waits"))
    await kubernetes_engine.start(first)
    with pytest.raises(OperatorFault, match="the quota of its namespace is used up"):
        await kubernetes_engine.start(new_spec(odd_cluster_images("waits")))
    assert set(await kubernetes_engine.running()) == {first.id}


async def test_a_connection_that_drops_is_made_anew_and_nothing_is_missed(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster
) -> None:
    settings = kubernetes_engine.connection.configuration
    async with relay_to(settings.host) as relay, _at(kubernetes_engine, relay.address) as engine:
        spec = new_spec(odd_cluster_images("waits"))
        await engine.start(spec)
        assert (await engine.running())[spec.id].alive
        relay.cut()
        cluster.api.delete(_known(engine, "Pod", spec.id))
        assert (await until_it_left(engine, spec.id)).reason == "The cluster took it away."


async def test_where_the_api_server_has_forgotten_the_place_nothing_is_missed(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster
) -> None:
    settings = kubernetes_engine.connection.configuration
    async with relay_to(settings.host) as relay, _at(kubernetes_engine, relay.address) as engine:
        spec = new_spec(odd_cluster_images("waits"))
        await engine.start(spec)
        engine._pods._version = "1"
        relay.cut()
        cluster.api.delete(_known(engine, "Pod", spec.id))
        assert (await until_it_left(engine, spec.id)).reason == "Its container is gone."
        assert engine._pods._round == 2, "it was listed again"


@asynccontextmanager
async def _at(engine: KubernetesEngine, address: str) -> AsyncIterator[KubernetesEngine]:
    """Give the same engine, with a connection of its own to an address that leads to the same API server."""
    known = engine.connection.configuration
    configuration: Any = Configuration(host=address, ssl_ca_cert=known.ssl_ca_cert)
    configuration.api_key = known.api_key
    configuration.verify_ssl = False
    async with (
        ApiClient(configuration) as connection,
        open_engine(connection, namespace=engine.namespace, instance=engine.instance) as other,
    ):
        yield other


async def test_pods_of_others_are_let_alone(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str]
) -> None:
    spec = new_spec(odd_cluster_images("waits"))
    await kubernetes_engine.start(spec)
    connection, namespace = kubernetes_engine.connection, kubernetes_engine.namespace
    async with open_engine(connection, namespace=namespace, instance="fedcba98") as other:
        await other.stop(spec.id)
        assert await other.running() == {}
    assert set(await kubernetes_engine.running()) == {spec.id}


async def test_a_session_whose_pod_is_taken_away_is_there_until_it_is_stopped(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster
) -> None:
    spec = new_spec(odd_cluster_images("waits"))
    await kubernetes_engine.start(spec)
    cluster.api.delete(_known(kubernetes_engine, "Pod", spec.id))
    assert (await until_it_left(kubernetes_engine, spec.id)).reason == "The cluster took it away."
    await kubernetes_engine.stop(spec.id)
    assert await kubernetes_engine.running() == {}


async def test_all_of_a_session_goes_with_its_secret(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster
) -> None:
    spec = new_spec(odd_cluster_images("waits"))
    await kubernetes_engine.start(spec)
    cluster.api.delete(_known(kubernetes_engine, "Secret", spec.id))
    pods = f"/api/v1/namespaces/{kubernetes_engine.namespace}/pods"
    await asyncio.to_thread(until, lambda: not cluster.api.list(pods), "its pod is left")


async def test_whoever_dies_while_it_starts_a_session_leaves_nothing_that_is_not_seen(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster
) -> None:
    spec = new_spec(odd_cluster_images("waits"))
    secret: Any = secret_manifest(spec, instance=kubernetes_engine.instance)
    secret["metadata"]["namespace"] = kubernetes_engine.namespace
    cluster.api.create(secret)
    assert await kubernetes_engine.running() == {spec.id: GONE}
    target = await kubernetes_engine.start(spec)
    assert await kubernetes_engine.running() == {spec.id: Running(alive=True, target=target)}
    await kubernetes_engine.stop(spec.id)
    for kind in ("pods", "secrets"):
        assert cluster.api.list(f"/api/v1/namespaces/{kubernetes_engine.namespace}/{kind}") == []


def _known(engine: KubernetesEngine, kind: str, session_id: str) -> Object:
    metadata = {"name": pod_name(engine.instance, session_id), "namespace": engine.namespace}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


async def test_a_cluster_that_does_not_answer_is_nobodys_fault_here(kubernetes_engine: KubernetesEngine) -> None:
    async with _at(kubernetes_engine, "https://127.0.0.1:1") as engine:
        with pytest.raises(WorldFault, match="does not answer"):
            await engine.running()


async def test_an_account_that_may_not_look_is_the_operators_to_set_up(
    kubernetes_engine: KubernetesEngine, cluster: Cluster
) -> None:
    namespace = Namespace(cluster, kubernetes_engine.namespace)
    async with (
        connection_of(cluster, namespace.account([])) as connection,
        open_engine(connection, namespace=namespace.name, instance="0123abcd") as engine,
    ):
        with pytest.raises(OperatorFault, match="forbidden"):
            await engine.running()
