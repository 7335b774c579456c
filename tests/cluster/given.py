"""The cluster that tests are given, and what they do on it: namespaces, pods, and commands in pods."""

import itertools
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import stream

from binder.settings import read_settings
from tests.cluster.api import Api, Object
from tests.cluster.images import BUSYBOX, BUSYBOX_IMAGE, name_in, push_images
from tests.cluster.layout import HOST_ADDRESS, HOST_REGISTRY, OUTSIDE_ADDRESS, REGISTRY
from tests.cluster.reasons import CannotRun
from tests.cluster.running import cluster_down, cluster_up, halted, is_up

_POLL_SECONDS = 0.1
_COMMAND_SECONDS = 20
METADATA = "169.254.169.254"
"""Where clouds tell a machine who it is, and with which keys."""
_numbers = itertools.count(1)

RESTRICTED: Mapping[str, object] = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What Pod Security "restricted" asks of a container."""


@contextmanager
def given_cluster() -> Iterator["Cluster"]:
    """Give the cluster that KUBECONFIG names, else the one that runs here, else one that is started and ended.

    Raises: CannotRun.
    """
    if named := os.environ.get("KUBECONFIG"):
        names = ("REGISTRY", "HOST", "OUTSIDE", "HOST_REGISTRY")
        places = [os.environ.get(f"BINDER_TEST_{name}") for name in names]
        if not all(places):
            raise CannotRun(
                "KUBECONFIG names a cluster. Name in BINDER_TEST_REGISTRY a registry (`host:port/path`) that it and "
                "this machine reach by plain HTTP, and in BINDER_TEST_HOST and BINDER_TEST_OUTSIDE two addresses at "
                "which pods reach this machine: a private one, from which we reach pods, and one that is not private. "
                "BINDER_TEST_HOST_REGISTRY (`host:port`) is where this machine may serve it another one, by plain HTTP."
            )
        with closing(Cluster(Path(named), *map(str, places))) as cluster:
            yield cluster
        return
    cache = read_settings().cache_dir
    was_up = is_up(cache)
    kubeconfig = cluster_up(cache)
    try:
        with closing(Cluster(kubeconfig, REGISTRY, HOST_ADDRESS, OUTSIDE_ADDRESS, HOST_REGISTRY)) as cluster:
            yield cluster
    finally:
        if not was_up:
            cluster_down(cache)


class Cluster:
    """A cluster, reached as its administrator.

    `registry` is where its images come from. `host` and `outside` are addresses of this machine, as pods see it: one of
    the cluster's neighbourhood, and one of the world outside. `host_registry` is where a test may have a registry here.
    """

    def __init__(self, kubeconfig: Path, registry: str, host: str, outside: str, host_registry: str) -> None:
        self.kubeconfig = kubeconfig
        self.registry = registry
        self.host = host
        self.outside = outside
        self.host_registry = host_registry
        self.api = Api.as_administrator(kubeconfig)
        push_images(BUSYBOX_IMAGE, registry)

    def close(self) -> None:
        """Let go of the sockets."""
        self.api.close()

    def service_address(self, name: str, namespace: str) -> str:
        """Return the address of a Service."""
        service = self.api.ask("GET", f"/api/v1/namespaces/{namespace}/services/{name}")
        return str(service["spec"]["clusterIP"])

    @contextmanager
    def halted(self, program: str) -> Iterator[None]:
        """Have a program of the node's, as `etcd`, do nothing while the block runs.

        Raises: CannotRun, where the cluster is not one of this machine's own.
        """
        with halted(read_settings().cache_dir, program):
            yield

    @contextmanager
    def extended_resource(self, count: int) -> Iterator[str]:
        """Give the name of a resource, as GPUs are one, that the first node has so much of and nobody else asks for."""
        name, node = f"example.org/binder-tests-{os.getpid()}-{next(_numbers)}", self.nodes()[0]
        path = f"/api/v1/nodes/{node['metadata']['name']}/status"

        def set_to(value: str | None) -> None:
            self.api.ask("PATCH", path, {"status": {"capacity": {name: value}, "allocatable": {name: value}}})

        set_to(str(count))
        try:
            yield name
        finally:
            set_to(None)

    @contextmanager
    def priority_class(self, value: int) -> Iterator[str]:
        """Give the name of a priority class of this value."""
        name = f"binder-tests-{os.getpid()}-{next(_numbers)}"
        made = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
        self.api.ask("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {**made, "value": value})
        try:
            yield name
        finally:
            self.api.ask("DELETE", f"/apis/scheduling.k8s.io/v1/priorityclasses/{name}")

    @contextmanager
    def cloud_metadata(self) -> Iterator[tuple[str, int]]:
        """Give where the first node has a server, as nodes of clouds have one that tells secrets: address and port."""
        with self.namespace() as namespace:
            serve = f"ip address add {METADATA}/32 dev lo; exec httpd -f -p {METADATA}:8011 -h /tmp"
            pod = namespace.pod("metadata", "sh", "-c", serve)
            pod["spec"] |= {"hostNetwork": True, "nodeName": self.nodes()[0]["metadata"]["name"]}
            pod["spec"]["containers"][0]["securityContext"] = {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}}
            running = namespace.start(pod)
            until(lambda: running.phase() == "Running", "there is no metadata server", why=running.why)
            try:
                yield METADATA, 8011
            finally:
                running.execute(BUSYBOX, "ip", "address", "del", f"{METADATA}/32", "dev", "lo")

    @contextmanager
    def silent_node(self) -> Iterator[str]:
        """Give the name of a node that is none: pods are bound to it that tolerate the taint of this name, and nothing
        runs them.
        """
        name = f"binder-tests-{os.getpid()}-{next(_numbers)}"
        metadata = {"name": name, "labels": {"kubernetes.io/hostname": name}}
        taints = [{"key": name, "effect": "NoSchedule"}]
        made = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": taints}}
        room = {"cpu": "8", "memory": "64Gi", "pods": "100"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        self.api.create(made)
        try:
            status = {"capacity": room, "allocatable": room, "conditions": [ready]}
            self.api.ask("PATCH", f"/api/v1/nodes/{name}/status", {"status": status})
            yield name
        finally:
            self.api.delete(made)

    @contextmanager
    def labelled(self, node: str, key: str) -> Iterator[None]:
        """Have a node bear a label, `KEY=yes`."""
        path = f"/api/v1/nodes/{node}"
        self.api.ask("PATCH", path, {"metadata": {"labels": {key: "yes"}}})
        try:
            yield
        finally:
            self.api.ask("PATCH", path, {"metadata": {"labels": {key: None}}})

    def lose(self, node: str) -> None:
        """Have a node lost, as the cluster does it that has not heard of one for a while."""
        lost = [{"key": "node.kubernetes.io/unreachable", "effect": effect} for effect in ("NoSchedule", "NoExecute")]
        self.api.ask("PATCH", f"/api/v1/nodes/{node}", {"spec": {"taints": lost}})

    def nodes(self) -> Sequence[Object]:
        """Return its nodes on which anything may run."""
        return [node for node in self.api.list("/api/v1/nodes") if not node["spec"].get("taints")]

    @contextmanager
    def namespace(self, *, pod_security: str = "privileged") -> Iterator["Namespace"]:
        """Give a namespace that is gone, with all that is in it, soon after the block."""
        name = f"binder-tests-{os.getpid()}-{next(_numbers)}"
        labels = {"pod-security.kubernetes.io/enforce": pod_security}
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        self.api.create(made)
        try:
            namespace = Namespace(self, name)
            until(lambda: namespace.list("serviceaccounts"), "the namespace has no service account")
            yield namespace
        finally:
            self.api.delete(made)


@dataclass(frozen=True)
class Namespace:
    """A namespace of a test's own."""

    cluster: Cluster
    name: str

    def list(self, kind: str) -> Sequence[Object]:
        """Return what there is of a kind of the core's: `pods`."""
        return self.cluster.api.list(f"/api/v1/namespaces/{self.name}/{kind}")

    def create(self, api_version: str, kind: str, name: str, **fields: object) -> Object:
        """Create an object, and return what it became."""
        metadata = {"name": name, "namespace": self.name}
        return self.cluster.api.create({"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields})

    def pod(self, name: str, *argv: str, labels: Mapping[str, str] | None = None) -> Object:
        """Return a pod that runs a program of busybox's, as "restricted" allows it."""
        container = {
            "name": "main",
            "image": name_in(self.cluster.registry, "busybox"),
            "command": list(argv),
            "securityContext": dict(RESTRICTED),
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.name, "labels": dict(labels or {})},
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]},
        }

    def account(
        self, rules: Sequence[Mapping[str, Sequence[str]]], everywhere: Sequence[Mapping[str, Sequence[str]]] = ()
    ) -> str:
        """Return the token of an account that may do what these rules of RBAC allow, and nothing else: those in here,
        and `everywhere` on the cluster.
        """
        api, name = "rbac.authorization.k8s.io", f"account-{next(_numbers)}"
        self.create("v1", "ServiceAccount", name)
        self.create(f"{api}/v1", "Role", name, rules=[dict(rule) for rule in rules])
        subject = {"kind": "ServiceAccount", "name": name, "namespace": self.name}
        role = {"apiGroup": api, "kind": "Role", "name": name}
        self.create(f"{api}/v1", "RoleBinding", name, roleRef=role, subjects=[subject])
        if everywhere:
            self._allow_everywhere(f"{self.name}-{name}", everywhere, subject)
        path = f"/api/v1/namespaces/{self.name}/serviceaccounts/{name}/token"
        given = self.cluster.api.ask("POST", path, {"spec": {"expirationSeconds": 3600}})
        return str(given["status"]["token"])

    def _allow_everywhere(self, name: str, rules: Sequence[Mapping[str, Sequence[str]]], subject: Object) -> None:
        """Give an account rights on the cluster, that go with this namespace."""
        api = "rbac.authorization.k8s.io"
        uid = self.cluster.api.ask("GET", f"/api/v1/namespaces/{self.name}")["metadata"]["uid"]
        owner = {"apiVersion": "v1", "kind": "Namespace", "name": self.name, "uid": uid}
        role = {"apiGroup": api, "kind": "ClusterRole", "name": name}
        made = {"apiVersion": f"{api}/v1", "metadata": {"name": name, "ownerReferences": [owner]}}
        self.cluster.api.create({**made, "kind": "ClusterRole", "rules": [dict(rule) for rule in rules]})
        self.cluster.api.create({**made, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]})

    def pretend_to_run(self, name: str, address: str) -> None:
        """Say in a kubelet's place that a pod runs, at an address."""
        running = {"startedAt": "2026-01-01T00:00:00Z"}
        container = {"name": "notebook", "state": {"running": running}, "ready": True, "restartCount": 0}
        container |= {"image": "any", "imageID": "any"}
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "containerStatuses": [container]}
        self.cluster.api.ask("PATCH", f"/api/v1/namespaces/{self.name}/pods/{name}/status", {"status": status})

    def known(self, name: str) -> "Pod":
        """Return a pod that somebody else created."""
        return Pod(self.cluster, self.cluster.api.read(self.pod(name)))

    def start(self, pod: Object) -> "Pod":
        """Create a pod."""
        return Pod(self.cluster, self.cluster.api.create(pod))

    def run(self, name: str, *argv: str, labels: Mapping[str, str] | None = None) -> "Pod":
        """Start a pod of busybox's, and return it once it runs."""
        pod = self.start(self.pod(name, *argv, labels=labels))
        until(lambda: pod.phase() == "Running", f"{name} does not run", why=pod.why)
        return pod


class Pod:
    """A pod that is there."""

    def __init__(self, cluster: Cluster, created: Object) -> None:
        self._cluster = cluster
        self._created = created
        self.name: str = created["metadata"]["name"]
        self.namespace: str = created["metadata"]["namespace"]

    def status(self) -> Object:
        """Return the status that the API server has of it."""
        status: Object = self._cluster.api.read(self._created)["status"]
        return status

    def phase(self) -> str:
        """Return its phase, as Kubernetes calls it."""
        return str(self.status()["phase"])

    def container(self) -> Object:
        """Return the status of its container, or nothing where there is none yet."""
        statuses: Sequence[Object] = self.status().get("containerStatuses", ())
        return statuses[0] if statuses else {}

    def address(self) -> str:
        """Return its IP address."""
        return str(self.status()["podIP"])

    def why(self) -> str:
        """Return what there is to say of its state."""
        return json.dumps(self.status(), indent=1)

    def log(self) -> str:
        """Return what it has written."""
        return str(self._cluster.api.wires.read_namespaced_pod_log(self.name, self.namespace))

    def execute(self, *argv: str, container: str = "") -> str:
        """Run a program in it (in its first container), and return what that prints, both outputs together."""
        start: Any = stream.stream
        api = self._cluster.api.wires.connect_get_namespaced_pod_exec
        outputs: dict[str, Any] = {"stdin": False, "stdout": True, "stderr": True, "tty": False}
        outputs |= {"_preload_content": False} | ({"container": container} if container else {})
        said = start(api, self.name, self.namespace, command=list(argv), **outputs)
        try:
            said.run_forever(timeout=_COMMAND_SECONDS)
            return str(said.read_all())
        finally:
            said.sock.shutdown()  # its own `close` leaves the socket open once the other side has ended

    @contextmanager
    def wire(self, port: int) -> Iterator[socket.socket]:
        """Give a connection to one of its ports, through the API server."""
        start: Any = stream.portforward
        api = self._cluster.api.wires.connect_get_namespaced_pod_portforward
        forwarded = start(api, self.name, self.namespace, ports=str(port))
        wire: socket.socket = forwarded.socket(port)
        try:
            wire.setblocking(True)
            yield wire
        finally:
            wire.close()
            forwarded.websocket.shutdown()

    def reaches(self, host: str, port: int) -> bool:
        """Whether a TCP connection from it is taken within two seconds."""
        return self.execute("sh", "-c", f"nc -w 2 {host} {port} </dev/null && echo yes || echo no").strip() == "yes"


def until(is_so: Callable[[], object], otherwise: str, *, why: Callable[[], str] = str, seconds: float = 60.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"after {seconds:g} s {otherwise}: {why()}"
        time.sleep(_POLL_SECONDS)
