"""What a session on a real cluster is kept from, tried from inside one, and by what it is refused."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from deploy.engine import SessionSpec
from deploy.kubernetes import KubernetesEngine
from deploy.manifests import SERVER_PORT, pod_name, secret_manifest
from deploy.rights import SESSIONS_RULES
from tests.cluster.api import Refused
from tests.cluster.given import Cluster, Namespace, Pod, until
from tests.cluster.images import BUSYBOX
from tests.deploy.conftest import new_spec

pytestmark = pytest.mark.cluster

_Places = Mapping[str, tuple[str, int]]


@dataclass(frozen=True)
class Inside:
    """A session, from inside."""

    spec: SessionSpec
    pod: Pod
    address: str
    namespace: Namespace


@pytest.fixture
async def session(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster
) -> Inside:
    spec = new_spec(odd_cluster_images("serves"))
    target = await kubernetes_engine.start(spec)
    namespace = Namespace(cluster, kubernetes_engine.namespace)
    known = namespace.known(pod_name(kubernetes_engine.instance, spec.id))
    return Inside(spec, known, target.partition(":")[0], namespace)


async def test_the_network_policy_keeps_a_session_from_all_but_names_and_the_internet(
    kubernetes_engine: KubernetesEngine, session: Inside, odd_cluster_images: Callable[[str], str], cluster: Cluster
) -> None:
    second = (await kubernetes_engine.start(new_spec(odd_cluster_images("serves")))).partition(":")[0]
    everywhere = "0.0.0.0"  # noqa: S104 - pods reach it by two addresses
    async with (
        await asyncio.start_server(lambda _, wire: wire.close(), everywhere, 0) as server,
        AsyncExitStack() as stack,
    ):
        port = server.sockets[0].getsockname()[1]
        release = stack.enter_context(cluster.namespace())
        serves = ("sh", "-c", "exec httpd -f -p 8080 -h /tmp")
        ours = await asyncio.to_thread(release.run, "controller", *serves)
        metadata = await asyncio.to_thread(stack.enter_context, cluster.cloud_metadata())
        (node, *_), names = cluster.nodes(), cluster.api.list("/api/v1/namespaces/kube-system/pods")
        node_address = node["status"]["addresses"][0]["address"]
        api = cluster.api.wires.api_client.configuration.host.rpartition(":")[2]
        closed: _Places = {
            "another session": (second, SERVER_PORT),
            "the API server, by its Service": (cluster.service_address("kubernetes", "default"), 443),
            "the API server, by its node": (node_address, int(api)),
            "the kubelet": (node_address, 10250),
            "the cloud's metadata": metadata,
            "a pod of the service's": (ours.address(), 8080),
            "what else a name server of the cluster's tells": (_name_server(names), 8080),
            "a machine beside the cluster": (cluster.host, port),
        }
        await asyncio.to_thread(_reaches_all, session.pod, closed)
        await kubernetes_engine.close_network([f"{cluster.host}/32"])
        await asyncio.to_thread(until, lambda: not session.pod.reaches(second, SERVER_PORT), "the policy has no effect")
        assert await asyncio.to_thread(_reached, session.pod, closed) == []
        assert await asyncio.to_thread(session.pod.reaches, cluster.outside, port)
        resolved = await asyncio.to_thread(session.pod.execute, "nslookup", "kubernetes.default.svc.cluster.local")
        assert cluster.service_address("kubernetes", "default") in resolved
        # As the proxy, we may.
        _, wire = await asyncio.wait_for(asyncio.open_connection(session.address, SERVER_PORT), 5)
        wire.close()
        # It is the policy, and nothing else: a pod that has none reaches the same, all but the sessions.
        assert set(closed) - set(await asyncio.to_thread(_reached, ours, closed)) == {"another session"}
        policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
        name = f"binder-{kubernetes_engine.instance}-sessions"
        cluster.api.delete({**policy, "metadata": {"name": name, "namespace": session.namespace.name}})
        await asyncio.to_thread(_reaches_all, session.pod, closed)


def _name_server(pods: list[dict[str, Any]]) -> str:
    return next(str(pod["status"]["podIP"]) for pod in pods if "dns" in pod["metadata"]["name"])


def _reaches_all(pod: Pod, places: _Places) -> None:
    for name, place in places.items():
        until(partial(pod.reaches, *place), f"{name} cannot be reached")


def _reached(pod: Pod, places: _Places) -> list[str]:
    return [name for name, place in places.items() if pod.reaches(*place)]


async def test_a_session_has_no_account_of_the_clusters(session: Inside, cluster: Cluster) -> None:
    found = await asyncio.to_thread(session.pod.execute, "ls", "/var/run/secrets/kubernetes.io/serviceaccount")
    assert "No such file or directory" in found
    # Whoever has no account is told nothing by the API server, wherever it is asked from.
    stranger = cluster.api.as_bearer("")
    secrets = f"/api/v1/namespaces/{session.namespace.name}/secrets"
    with pytest.raises(Refused, match=r'User "system:anonymous" cannot list resource "secrets"|Unauthorized'):
        await asyncio.to_thread(stranger.list, secrets)
    stranger.close()


async def test_a_session_has_no_right_over_its_node(session: Inside) -> None:
    status = await asyncio.to_thread(session.pod.execute, "cat", "/proc/self/status")
    said = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert said["Uid"].split() == ["1000"] * 4
    assert (said["NoNewPrivs"], said["Seccomp"]) == ("1", "2")
    assert {int(said[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    for command in (("mount", "-t", "tmpfs", "none", "/tmp"), ("unshare", "-m", "true")):  # noqa: S108 - refused
        refused = await asyncio.to_thread(session.pod.execute, BUSYBOX, *command)
        assert any(word in refused for word in ("not permitted", "ermission denied")), refused


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"securityContext": {"privileged": True}}, "must not set securityContext.privileged=true"),
        ({"securityContext": {"runAsUser": 0}}, "must not set runAsUser=0"),
        ({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}, 'must not include "SYS_ADMIN"'),
    ],
)
async def test_who_starts_sessions_cannot_start_a_privileged_pod_either(
    session: Inside, cluster: Cluster, change: dict[str, Any], reason: str
) -> None:
    """Pod Security refuses it: whoever takes over the service has no node by that."""
    account = cluster.api.as_bearer(session.namespace.account(SESSIONS_RULES))
    pod = session.namespace.pod("bold", "sleep", "1")
    await asyncio.to_thread(until, lambda: _may_create(account, session.namespace), "the role has no effect")
    pod["spec"]["containers"][0] |= change
    with pytest.raises(Refused, match=f'violates PodSecurity "restricted.*{reason}'):
        await asyncio.to_thread(account.create, pod)
    account.close()


def _may_create(account: Any, namespace: Namespace) -> bool:
    try:
        account.ask("POST", f"/api/v1/namespaces/{namespace.name}/pods?dryRun=All", namespace.pod("any", "sleep", "1"))
    except Refused:
        return False
    return True


async def test_who_starts_sessions_reads_no_token_and_reaches_no_other_namespace(
    kubernetes_engine: KubernetesEngine, session: Inside, cluster: Cluster
) -> None:
    account = cluster.api.as_bearer(session.namespace.account(SESSIONS_RULES))
    await asyncio.to_thread(until, lambda: _may_create(account, session.namespace), "the role has no effect")
    secret: Any = secret_manifest(session.spec, instance=kubernetes_engine.instance)
    secret["metadata"]["namespace"] = session.namespace.name
    with pytest.raises(Refused, match='cannot get resource "secrets"'):
        await asyncio.to_thread(account.read, secret)
    for path in ("/api/v1/namespaces/kube-system/secrets", "/api/v1/namespaces/default/pods", "/api/v1/nodes"):
        with pytest.raises(Refused, match="cannot list resource"):
            await asyncio.to_thread(account.list, path)
    account.close()
