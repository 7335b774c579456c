"""What Kubernetes says of a session's Pod, in the words of engines. Pure: a Pod is JSON as the API server gives it.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from deploy.engine import Running
from deploy.manifests import SERVER_PORT

Pod = Mapping[str, Any]


class Seen(NamedTuple):
    """What is kept of a pod: there may be thousands. `waits_for`: see there."""

    session_id: str
    running: Running
    has_node: bool
    has_started: bool
    waits_for: str


GONE = Running(alive=False, reason="Its container is gone.")
"""What a session is at of which there is no pod: not yet, or not any more."""
_NOT_STARTED = "The container could not be started."
# What a container that waits for these waits for in vain. `ErrImagePull` becomes `ImagePullBackOff` if it stays.
_IN_VAIN = {
    "ImagePullBackOff": "Its image cannot be brought from the registry.",
    "ErrImageNeverPull": "Its image is in no registry.",
    "InvalidImageName": "Its image has a name that is none.",
    "CreateContainerConfigError": _NOT_STARTED,
    "CreateContainerError": _NOT_STARTED,
    "RunContainerError": _NOT_STARTED,
}
_ENDED = {
    "OOMKilled": "It ran out of memory.",
    "ContainerCannotRun": _NOT_STARTED,
    "StartError": _NOT_STARTED,
}
_ENDED_WITH_ITS_NODE = {
    "Evicted": "Its node ran short of memory or disk, and ended it.",
    "NodeLost": "The node that it ran on was lost.",
    "Shutdown": "The node that it ran on was shut down.",
    "Terminated": "The node that it ran on was shut down.",
}


def session_of(known: Pod) -> str:
    """Return the session that a pod, or another object of ours, belongs to."""
    return str(known["metadata"]["labels"].get("binder.session"))


def seen(pod: Pod) -> Seen:
    """Return what is kept of a pod."""
    return Seen(session_of(pod), running_of(pod), has_node(pod), has_started(pod), waits_for(pod))


def running_of(pod: Pod) -> Running:
    """Return what a session is at."""
    status, state = pod.get("status", {}), _state_of(pod)
    address = status.get("podIP")
    target = f"{address}:{SERVER_PORT}" if address else None
    if reason := _ENDED_WITH_ITS_NODE.get(status.get("reason", "")):
        return Running(alive=False, target=target, reason=reason)
    if ended := state.get("terminated"):
        code = int(ended["exitCode"])
        reason = _ENDED.get(ended.get("reason", ""), f"The notebook server ended with exit code {code}.")
        return Running(alive=False, target=target, exit_code=code, reason=reason)
    if reason := _IN_VAIN.get(state.get("waiting", {}).get("reason", "")):
        return Running(alive=False, target=target, reason=reason)
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") in {"Failed", "Succeeded"}:
        return Running(alive=False, target=target, reason="The cluster took it away.")
    return Running(alive=True, target=target)


def has_started(pod: Pod) -> bool:
    """Whether its server was started, and where it listens is known."""
    return bool(pod.get("status", {}).get("podIP")) and bool(_state_of(pod).keys() & {"running", "terminated"})


def has_node(pod: Pod) -> bool:
    """Whether a node was found for it."""
    return "nodeName" in pod["spec"]


def waits_for(pod: Pod) -> str:
    """Return what a pod that has not started waits for, as the cluster says it, or an empty text."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message", ""))
    waiting = _state_of(pod).get("waiting", {})
    return str(waiting.get("message") or waiting.get("reason", ""))


def _state_of(pod: Pod) -> Mapping[str, Any]:
    statuses = pod.get("status", {}).get("containerStatuses") or [{}]
    state: Mapping[str, Any] = statuses[0].get("state", {})
    return state
