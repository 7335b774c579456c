"""What a cluster says in its own words, and what a visitor is told: one sentence for each way to fail. Pure.

The cluster's own words go to the operator's log, as the cause.
"""

from collections.abc import Sequence
from typing import TypeAlias

_Words: TypeAlias = Sequence[tuple[Sequence[str], str]]
"""If any of these is in what the cluster says, a visitor is told this; the first that fits counts."""

ROOM = "The cluster has no room for it now:"
TOO_MUCH_DISK = "It used more disk than a session may."
LOST = "The node that it ran on was lost."

# The scheduler counts the nodes that are no good, for each reason. A node that is short of something would be good.
# Source: https://kubernetes.io/docs/tasks/debug/debug-application/debug-pods/#my-pod-stays-pending
_UNSCHEDULABLE: _Words = (
    (("Insufficient memory",), f"{ROOM} no node has enough memory left."),
    (("Insufficient cpu",), f"{ROOM} no node has enough processors left."),
    (("Insufficient ephemeral-storage",), f"{ROOM} no node has enough disk left."),
    (("Too many pods",), f"{ROOM} no node may run more pods."),
    (("Insufficient ",), f"{ROOM} no node has a GPU left, or as many as it asks for."),
    (
        ("node affinity", "node selector", "untolerated taint", "were unschedulable", "no nodes available"),
        "The cluster has no node on which sessions may run.",
    ),
)
# Sources: containerd's remotes/docker, https://distribution.github.io/distribution/spec/api/#errors
_PULL: _Words = (
    (
        ("401 ", "403 ", "unauthorized", "denied", "authorization failed", "authentication required"),
        "The cluster may not read its image: the registry refuses it.",
    ),
    (("not found", "manifest unknown", "name unknown"), "Its image is not in the registry."),
    (("no space left",), "Its node has no disk left for its image."),
    (
        ("dial tcp", "no such host", "timeout", "connection re", "deadline exceeded", "x509", "tls:", "EOF", " 50"),
        "The registry that its image is in cannot be reached.",
    ),
    (("",), "Its image cannot be brought from the registry."),
)
_IN_VAIN = frozenset(sentence for _, sentence in _PULL[:2])
"""Nothing of this becomes right by trying again."""
# Sources: pkg/kubelet/eviction/helpers.go, pkg/kubelet/lifecycle/predicate.go, pkg/kubelet/nodeshutdown
_EVICTED: _Words = (
    (("exceeds the ", "exceeds its "), TOO_MUCH_DISK),
    (("low on resource: memory",), "Its node ran short of memory, and ended it."),
    (("low on resource: ephemeral", "low on resource: inodes"), "Its node ran short of disk, and ended it."),
    (("",), "Its node ran short of memory or disk, and ended it."),
)
# Source: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
_DISRUPTED: _Words = (
    (("PreemptionByScheduler",), "Its place was given to something that the operator holds to be more important."),
    (("DeletionByTaintManager", "DeletionByPodGC"), LOST),
    (("EvictionByEvictionAPI",), "The operator has its node emptied."),
)
# Sources: plugin/pkg/admission/{resourcequota,limitranger}, https://kubernetes.io/docs/concepts/security/pod-security-admission/
_REFUSED: _Words = (
    (("exceeded quota",), f"{ROOM} the quota of its namespace is used up."),
    (("failed quota",), "The quota of its namespace asks for a limit that sessions do not have."),
    (
        ("maximum ", "minimum ", "max limit to request ratio"),
        "It asks for other resources than the cluster's LimitRange allows.",
    ),
    (("violates PodSecurity",), "The cluster's Pod Security does not let sessions run in their namespace."),
)


def why_unschedulable(said: str) -> str:
    """Return why there is no node for a pod, from what the scheduler says."""
    # After "preemption:" it tells why nothing else can be moved away.
    return _sentence(said.partition(" preemption:")[0], _UNSCHEDULABLE) or said


def why_not_pulled(said: str) -> str:
    """Return why an image does not come, from what the kubelet says."""
    return _sentence(said, _PULL)


def is_in_vain(sentence: str) -> bool:
    """Whether an image for which this was said will not come either when it is tried again."""
    return sentence in _IN_VAIN


def why_evicted(said: str) -> str:
    """Return why a kubelet ended a pod."""
    return _sentence(said, _EVICTED)


def why_disrupted(reason: str) -> str:
    """Return why somebody took a pod away, from the reason of its condition `DisruptionTarget`; empty: not known."""
    return _sentence(reason, _DISRUPTED)


def why_refused(said: str) -> str:
    """Return why the API server does not take a pod; what is not known is told as it is."""
    return _sentence(said, _REFUSED) or said


def _sentence(said: str, table: _Words) -> str:
    return next((sentence for words, sentence in table if any(word in said for word in words)), "")
