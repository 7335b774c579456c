"""A real control plane whose nodes are words: for what a thousand nodes and ten thousand sessions ask of us.

Owns etcd, the API server, the scheduler, the controllers that matter, and kwok, which says of each pod that has a node
that it runs. No kubelet, no container, no network: a thousand nodes fit into one machine that way. All of them listen
on loopback by their usual ports, so whoever runs this has a network namespace of their own.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from urllib3.exceptions import HTTPError

from tests.cluster.api import Api, Object, Refused
from tests.cluster.certificates import Authority
from tests.cluster.reasons import CannotRun, last_words

NAMESPACE = "sessions"
OURS = "binder"
"""Who the control plane that is measured says that it is: what it asks is written down."""

_SERVER = "https://127.0.0.1:6443"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.1
_USERS = {
    "admin": ("admin", "system:masters"),
    "binder": (OURS, "system:masters"),
    "kwok": ("kwok", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
}
_FREELY = {"qps": 1000, "burst": 1000}
"""A client's own limit of requests for each second: what holds a launch up here is to be what has to."""


@dataclass
class Simulation:
    """A control plane that runs. `audit` has a line of JSON for each request of `OURS`, once it was answered."""

    folder: Path
    api: Api
    daemons: Mapping[str, "subprocess.Popen[bytes]"]
    nodes: int = 0

    @property
    def kubeconfig(self) -> Path:
        """What the control plane that is measured reaches it with."""
        return self.folder / "certificates/binder.kubeconfig"

    @property
    def audit(self) -> Path:
        """What `OURS` asked."""
        return self.folder / "audit.log"

    def grow_to(self, nodes: int) -> None:
        """Add nodes until there are so many, and wait until pods may be placed on them."""
        for number in range(self.nodes, nodes):
            self.api.create(_node(number))
        self.nodes = max(self.nodes, nodes)
        until(
            lambda: len(self.api.list("/api/v1/nodes")) == sum(map(_is_ready, self.api.list("/api/v1/nodes"))), "node"
        )

    def pods(self) -> int:
        """Return how many pods there are."""
        found = self.api.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/pods?limit=1")
        return len(found["items"]) + int(found["metadata"].get("remainingItemCount", 0))


@contextmanager
def running_simulation(folder: Path, programs: Mapping[str, Path]) -> Iterator[Simulation]:
    """Give a control plane of no nodes while the block runs.

    Raises: CannotRun.
    """
    _write_files(folder)
    with ExitStack() as stack:
        daemons: dict[str, subprocess.Popen[bytes]] = {}

        def start(*names: str) -> None:
            for name in names:
                daemons[name] = stack.enter_context(_running(folder, name, _arguments(folder, programs)[name]))

        start("etcd", "kube-apiserver")
        api = Api.as_administrator(folder / "certificates/admin.kubeconfig")
        stack.callback(api.close)
        until(lambda: _is_up(api), "API server", seconds=_START_SECONDS)
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": _RESTRICTED}})
        start("kube-controller-manager", "kube-scheduler", "kwok")
        accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
        until(lambda: bool(api.list(accounts)), "controller of accounts", seconds=_START_SECONDS)
        yield Simulation(folder, api, daemons)


def until(is_so: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
    """Wait until something is so.

    Raises: CannotRun, where it is not in time.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise CannotRun(f"The simulation waited for {seconds:g} s for its {what}.")
        time.sleep(_POLL_SECONDS)


def _is_up(api: Api) -> bool:
    try:
        api.list("/api/v1/namespaces")
    except (Refused, HTTPError):
        return False
    return True


@contextmanager
def _running(folder: Path, name: str, argv: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    path = folder / f"{name}.log"
    with path.open("wb") as log:
        daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    try:
        yield daemon
        if (code := daemon.poll()) is not None:
            raise CannotRun(f"{name} ended with exit code {code}: {last_words(path.read_bytes())}")
    finally:
        daemon.kill()
        daemon.wait(_STOP_SECONDS)


def _node(number: int) -> Object:
    room = {"cpu": "64", "memory": "256Gi", "pods": "110"}
    name = f"node-{number}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"capacity": room, "allocatable": room},
    }


def _is_ready(node: Object) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", ()))


_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}

# Source: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "users": [OURS]}, {"level": "None"}],
}

# Source: https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/
_SCHEDULER = {
    "apiVersion": "kubescheduler.config.k8s.io/v1",
    "kind": "KubeSchedulerConfiguration",
    "leaderElection": {"leaderElect": False},
}

# What nodes say of themselves every few seconds is left out: it is the cluster's cost, and the same without sessions.
# Source: https://kwok.sigs.k8s.io/docs/user/stages-configuration/
_STAGES: Sequence[Object] = (
    {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": "node-is-ready"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Node"},
            "selector": {"matchExpressions": [{"key": ".status.phase", "operator": "DoesNotExist"}]},
            "next": {
                "statusTemplate": """\
phase: Running
conditions:
- type: Ready
  status: "True"
  reason: Simulated
  lastHeartbeatTime: {{ Now | Quote }}
  lastTransitionTime: {{ Now | Quote }}
"""
            },
        },
    },
    {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": "pod-runs"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {
                "matchExpressions": [
                    {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
                    {"key": ".status.podIP", "operator": "DoesNotExist"},
                ]
            },
            "next": {
                "statusTemplate": """\
phase: Running
startTime: {{ Now | Quote }}
podIP: {{ PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace | Quote }}
conditions:
- {type: Ready, status: "True", lastTransitionTime: {{ Now | Quote }}}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  restartCount: 0
  state: {running: {startedAt: {{ Now | Quote }}}}
{{ end }}
"""
            },
        },
    },
    {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": "pod-goes"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": [{"key": ".metadata.deletionTimestamp", "operator": "Exists"}]},
            "next": {"delete": True},
        },
    },
)


def _write_files(folder: Path) -> None:
    authority = Authority(folder / "certificates")
    authority.issue("kube-apiserver", "kube-apiserver", hosts=["127.0.0.1", "kubernetes.default.svc"])
    authority.key_pair("service-accounts")
    for file, (user, group) in _USERS.items():
        authority.kubeconfig(file, _SERVER, user, group=group)
    client = {"kubeconfig": str(authority.folder / "kube-scheduler.kubeconfig"), **_FREELY}
    (folder / "scheduler.json").write_text(json.dumps({**_SCHEDULER, "clientConnection": client}))
    (folder / "audit.json").write_text(json.dumps(_AUDIT))
    (folder / "stages.yaml").write_text("\n---\n".join(map(json.dumps, _STAGES)))


def _arguments(folder: Path, programs: Mapping[str, Path]) -> Mapping[str, Sequence[str]]:
    files = folder / "certificates"

    def flagged(name: str, **flags: object) -> Sequence[str]:
        return [str(programs[name]), *(f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items())]

    return {
        "etcd": [str(programs["etcd"]), "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"],
        "kube-apiserver": flagged(
            "kube-apiserver",
            advertise_address="127.0.0.1",
            bind_address="127.0.0.1",
            etcd_servers="http://127.0.0.1:2379",
            service_cluster_ip_range="10.96.0.0/16",
            authorization_mode="RBAC",
            # Nodes are taken to be ready as soon as kwok says so.
            disable_admission_plugins="TaintNodesByCondition",
            client_ca_file=files / "ca.crt",
            tls_cert_file=files / "kube-apiserver.crt",
            tls_private_key_file=files / "kube-apiserver.key",
            service_account_issuer="https://kubernetes.default.svc",
            service_account_key_file=files / "service-accounts.pub",
            service_account_signing_key_file=files / "service-accounts.key",
            audit_policy_file=folder / "audit.json",
            audit_log_path=folder / "audit.log",
            audit_log_mode="batch",
        ),
        "kube-controller-manager": flagged(
            "kube-controller-manager",
            kubeconfig=files / "kube-controller-manager.kubeconfig",
            controllers="garbage-collector-controller,namespace-controller,serviceaccount-controller",
            kube_api_qps=_FREELY["qps"],
            kube_api_burst=_FREELY["burst"],
            leader_elect="false",
            bind_address="127.0.0.1",
        ),
        "kube-scheduler": flagged("kube-scheduler", config=folder / "scheduler.json", bind_address="127.0.0.1"),
        "kwok": flagged(
            "kwok",
            kubeconfig=files / "kwok.kubeconfig",
            config=folder / "stages.yaml",
            manage_all_nodes="true",
            node_lease_duration_seconds=0,
            cidr="10.0.0.0/8",
        ),
    }
