"""The first process of the cluster but for init: makes the node, starts what runs on it, and sees that it goes on.

Runs in namespaces of processes and mounts of its own (`tests.cluster.running`), so that all that it starts and mounts
ends with it, whatever happens. The daemons have a network namespace besides; only we, and slirp4netns, which brings
the node to the world outside, are in this machine's.
"""

import json
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

import httpx

from tests.cluster.api import Api
from tests.cluster.certificates import Authority
from tests.cluster.images import images_of, push_images
from tests.cluster.layout import (
    API_SERVER,
    API_SERVICE_ADDRESS,
    DOMAIN,
    HIDDEN,
    HOST_ADDRESS,
    LINK,
    NODE,
    NODE_ADDRESS,
    OUTSIDE_ADDRESS,
    PODS,
    REGISTRY,
    SERVICES,
    Folder,
)
from tests.cluster.reasons import CannotRun, last_words
from tests.cluster.settings import CONTAINERD_SOCKET, arguments_for, settings_for
from tests.cluster.system import KUBE_ROUTER, SYSTEM, system_objects

_POLL_SECONDS = 0.1
_WATCH_SECONDS = 0.5
_COMMAND_SECONDS = 20
# The kubelet sets these of the kernel's (pkg/kubelet/cm, setupKernelTunables). They are the whole machine's, so it
# finds files in their place that have these values.
_KERNEL = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
# Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#core-component-roles
_USERS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kube-router": (KUBE_ROUTER, ""),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
}


class Node:
    """The node in `folder`: what it runs, and whether it still does."""

    def __init__(self, folder: Folder, programs: Mapping[str, Path]) -> None:
        self._folder = folder
        self._programs = programs
        self._arguments = arguments_for(folder, programs)
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Make the node and start all that runs on it; return once pods have names, Services and policies.

        Raises: CannotRun.
        """
        _write_files(self._folder)
        _mount(self._folder)
        self._connect()
        self._start_inside("etcd", "registry", "containerd")
        self.until(lambda: "ready to serve client requests" in self._log("etcd"), 20, "etcd does not answer")
        self._start_inside("kube-apiserver")
        self.until(lambda: _answers(f"http://{REGISTRY}/v2/"), 20, "the registry does not answer")
        push_images(images_of(self._programs), REGISTRY)
        trusted = self._folder.certificates / "ca.crt"
        self.until(lambda: _answers(f"{API_SERVER}/readyz", trusted), 60, "the API server is not ready")
        api = Api.as_administrator(self._folder.kubeconfig)
        for made in system_objects():
            api.create(made)
        self.until(CONTAINERD_SOCKET.exists, 20, "containerd does not answer")
        self._start_inside("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
        self.until(lambda: _node_is_ready(api), 60, "the node is not ready")
        self._start_inside("kube-router")
        self.until(lambda: _answers(f"https://{API_SERVICE_ADDRESS}/readyz", trusted), 30, "Services do not answer")
        self.until(lambda: _answers(f"http://{NODE_ADDRESS}:20244/healthz"), 30, "nobody enforces network policies")
        self.until(lambda: _dns_is_there(api), 60, "DNS does not answer")

    def watch(self) -> None:
        """Return never, but raise CannotRun once something that should run does not."""
        while True:
            self._check()
            time.sleep(_WATCH_SECONDS)

    def until(self, is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
        """Wait until something is so.

        Raises: CannotRun, where it is not in time, or one of the daemons has ended.
        """
        deadline = time.monotonic() + seconds
        while not is_so():
            self._check()
            if time.monotonic() > deadline:
                raise CannotRun(f"After {seconds:g} s {otherwise}; see the logs in {self._folder.logs}.")
            time.sleep(_POLL_SECONDS)

    def _check(self) -> None:
        for name, daemon in self._daemons.items():
            if (code := daemon.poll()) is not None:
                raise CannotRun(f"{name} ended with exit code {code}: {last_words(self._log(name))}")

    def _connect(self) -> None:
        """Lay a wire between this machine and a network namespace for the node, with a way out of it."""
        _run("ip", "netns", "add", NODE)
        _run("ip", "link", "add", LINK, "type", "veth", "peer", "name", "host", "netns", NODE)
        for address in (f"{HOST_ADDRESS}/30", f"{OUTSIDE_ADDRESS}/32"):
            _run("ip", "address", "add", address, "dev", LINK)
        _run("ip", "link", "set", LINK, "up", "alias", str(self._folder.root))
        for command in (["address", "add", f"{NODE_ADDRESS}/30", "dev", "host"], ["link", "set", "host", "up"]):
            _run("ip", "-n", NODE, *command)
        _run("ip", "-n", NODE, "link", "set", "lo", "up")
        for addresses in (PODS, SERVICES):
            _run("ip", "route", "add", addresses, "via", NODE_ADDRESS, "dev", LINK)
        _run(*_INSIDE, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        self._start("slirp4netns", [*_SLIRP, f"/run/netns/{NODE}", "outside"])
        _run(*_INSIDE, "nft", "-f", str(self._folder.settings / "outside.nft"))

    def _start_inside(self, *names: str) -> None:
        for name in names:
            self._start(name, [*_INSIDE, *self._arguments[name]])

    def _start(self, name: str, argv: Sequence[str]) -> None:
        with (self._folder.logs / f"{name}.log").open("wb") as log:
            self._daemons[name] = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")

    def _log(self, name: str) -> str:
        return (self._folder.logs / f"{name}.log").read_text(errors="replace")


_SLIRP = ("slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", "--netns-type=path")
_INSIDE = ("nsenter", f"--net=/run/netns/{NODE}", "--")


def _write_files(folder: Folder) -> None:
    """Write what the daemons read: settings, keys and certificates."""
    folder.data.mkdir()
    for name, text in settings_for(folder).items():
        path = folder.settings / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    authority = Authority(folder.certificates)
    service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{DOMAIN}"]
    hosts = [*service, API_SERVICE_ADDRESS, NODE_ADDRESS, "127.0.0.1"]
    authority.issue("kube-apiserver", "kube-apiserver", hosts=hosts)
    authority.issue("kubelet-server", NODE, hosts=[NODE, NODE_ADDRESS])
    authority.issue("kubelet-client", "kube-apiserver", group="system:masters")
    authority.key_pair("service-accounts")
    for file, (user, group) in _USERS.items():
        authority.kubeconfig(file, API_SERVER, user, group=group)


def _mount(folder: Folder) -> None:
    """Give the daemons folders of their own where they have fixed names, and keep them from the kernel's settings."""
    _run("mount", "--make-rshared", "/")
    for place in HIDDEN:
        _run("mount", "-t", "tmpfs", "-o", "mode=755", "node", place)
    for name, value in _KERNEL.items():
        file = folder.settings / "kernel" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
        _run("mount", "--bind", str(file), f"/proc/sys/{name}")


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, check=False, timeout=_COMMAND_SECONDS)
    if done.returncode:
        raise CannotRun(f"`{' '.join(argv)}` failed: {last_words(done.stderr)}")


def _answers(address: str, trusted: Path | None = None) -> bool:
    trust = ssl.create_default_context(cafile=trusted)
    try:
        return httpx.get(address, timeout=2, trust_env=False, verify=trust).is_success
    except httpx.TransportError:
        return False


def _node_is_ready(api: Api) -> bool:
    conditions = [c for node in api.list("/api/v1/nodes") for c in node["status"].get("conditions", ())]
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _dns_is_there(api: Api) -> bool:
    (dns,) = api.list(f"/apis/apps/v1/namespaces/{SYSTEM}/deployments")
    return bool(dns["status"].get("availableReplicas"))


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    """Run the node in the folder that is the first argument, with the second's programs, until we are told to end."""
    signal.signal(signal.SIGTERM, _end)
    folder = Folder(Path(sys.argv[1]))
    node = Node(folder, {name: Path(path) for name, path in json.loads(sys.argv[2]).items()})
    try:
        node.start()
        folder.ready.touch()
        node.watch()
    except CannotRun as error:
        folder.reason.write_text(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
