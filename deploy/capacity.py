"""How much there is of what sessions run on, and how much of it is taken: a machine, or a cluster's nodes."""

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient

_MEMORY = Path("/proc/meminfo")
_MOST_NODES = 500
_UNITS = {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "m": 1e-3,
}
_SECONDS = 30.0


def machine_capacity(cache: Path) -> dict[str, Any]:
    """Return what this machine has, in the words of `binder cluster --json`: a node of a cluster of one."""
    memory = _memory_in(_MEMORY.read_text(encoding="ascii"))
    disk = shutil.disk_usage(cache if cache.exists() else cache.anchor)
    return {
        "name": os.uname().nodename,
        "is_ready": True,
        "cpus": float(os.cpu_count() or 1),
        "memory_bytes": memory.get("MemTotal", 0),
        "memory_free_bytes": memory.get("MemAvailable", 0),
        "disk_bytes": disk.total,
        "disk_free_bytes": disk.free,
        "sessions": None,
    }


async def cluster_capacity(connection: "ApiClient", *, namespace: str, instance: str) -> Sequence[dict[str, Any]]:
    """Return what a cluster's nodes have for pods, and how many of our sessions run on each.

    Raises: OperatorFault, where we may not ask; WorldFault.
    """
    # Who has no cluster does not wait for its client.
    from kubernetes.aio.client import CoreV1Api  # noqa: PLC0415

    from binder.cluster import cluster_faults, read_answer  # noqa: PLC0415
    from deploy.service_manifests import SERVICE  # noqa: PLC0415

    core = CoreV1Api(connection)
    asked: dict[str, Any] = {"_request_timeout": _SECONDS}
    # A service with a pod of its own is no session.
    ours = f"binder.instance={instance},binder.session,!{SERVICE}"
    with cluster_faults():
        answer = await core.list_namespaced_pod_without_preload_content(namespace, label_selector=ours, **asked)
        _, pods = await read_answer(answer)
        _, nodes = await read_answer(await core.list_node_without_preload_content(limit=_MOST_NODES, **asked))
    sessions = Counter(pod["spec"].get("nodeName") for pod in pods["items"])
    return [node_capacity(node, sessions[node["metadata"]["name"]]) for node in nodes["items"]]


def node_capacity(node: Mapping[str, Any], sessions: int) -> dict[str, Any]:
    """Return what a node has, by the API's account of it. Pure."""
    free = node["status"].get("allocatable") or {}
    conditions = {one["type"]: one["status"] for one in node["status"].get("conditions") or ()}
    return {
        "name": node["metadata"]["name"],
        "is_ready": conditions.get("Ready") == "True" and not node["spec"].get("unschedulable"),
        "cpus": quantity(free.get("cpu", "0")),
        "memory_bytes": int(quantity(free.get("memory", "0"))),
        "memory_free_bytes": None,
        "disk_bytes": int(quantity(free.get("ephemeral-storage", "0"))),
        "disk_free_bytes": None,
        "sessions": sessions,
    }


def quantity(text: str) -> float:
    """Return the number that a quantity of Kubernetes is: `1500m` is 1.5, `2Gi` is 2147483648; 0 where it is none.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
    try:
        return float(text.removesuffix(unit)) * _UNITS.get(unit, 1)
    except ValueError:
        return 0.0


def _memory_in(text: str) -> dict[str, int]:
    """Return the bytes that `/proc/meminfo` tells of."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        number = rest.split()
        if number and number[0].isdigit():
            found[name] = int(number[0]) * 1024
    return found
