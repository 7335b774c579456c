"""What Kubernetes says of a session's Pod, in the words of engines. Pure: a Pod is JSON as the API server gives it.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from deploy.engine import Running
from deploy.manifests import SERVER_PORT
from deploy.pod_services import SeenSeed, SeenService, seed_in, service_of, services_in
from deploy.reasons import (
    LOST,
    TOO_MUCH_DISK,
    is_in_vain,
    why_disrupted,
    why_evicted,
    why_not_pulled,
    why_unschedulable,
)
from deploy.service_manifests import OWNER

Pod = Mapping[str, Any]

GONE = Running(alive=False, reason="Its container is gone.", taken=True)
"""What a session is at of which there is no pod: not yet, or not any more."""

_NOT_STARTED = "The container could not be started."
_TAKEN = "The cluster took it away."
_SHUT_DOWN = "The node that it ran on was shut down."
_NO_PLACE_AFTER_ALL = "Its node had no room for it after all."
# What a container that waits for these waits for in vain.
_IN_VAIN = {
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
    "NodeLost": LOST,
    "Shutdown": _SHUT_DOWN,
    "Terminated": _SHUT_DOWN,
    "NodeShutdown": _SHUT_DOWN,
    "Preempting": "Its place was given to something that its node cannot do without.",
    "UnexpectedAdmissionError": _NO_PLACE_AFTER_ALL,
    "NodeAffinity": _NO_PLACE_AFTER_ALL,
}


class Seen(NamedTuple):
    """What is kept of a pod: there may be thousands."""

    session_id: str
    running: Running
    has_node: bool
    has_started: bool
    waits_for: str
    """In the cluster's own words."""
    service: str = ""
    """The service whose own pod it is; empty: it is the notebook's."""
    services: Mapping[str, SeenService] = MappingProxyType({})
    seed: SeenSeed | None = None
    owner: str = ""
    """The uid of the Secret of its session, of a service's own pod."""

    @property
    def why(self) -> str:
        """Why it has not started, in a sentence for a visitor; empty: nothing holds it up."""
        if not self.has_node:
            return why_unschedulable(self.waits_for)
        return why_not_pulled(self.waits_for) if "pull" in self.waits_for else ""


def session_of(known: Pod) -> str:
    """Return the session that a pod, or another object of ours, belongs to."""
    return str(known["metadata"]["labels"].get("binder.session"))


def seen(pod: Pod) -> Seen:
    """Return what is kept of a pod."""
    services = services_in(pod)
    running = running_of(pod)
    if services:
        running = replace(running, services={name: one.state for name, one in services.items()})
    known = (session_of(pod), running, has_node(pod), has_started(pod), waits_for(pod))
    owner = pod["metadata"].get("labels", {}).get(OWNER, "")
    return Seen(*known, service_of(pod), services, seed_in(pod), owner)


def running_of(pod: Pod) -> Running:
    """Return what a session is at, its services aside."""
    status, state = pod.get("status", {}), _state_of(pod)
    address = status.get("podIP")
    target = f"{address}:{SERVER_PORT}" if address else None
    if reason := _end_with_its_node(status):
        return Running(alive=False, target=target, reason=reason, taken=reason != TOO_MUCH_DISK)
    if ended := state.get("terminated"):
        code = int(ended["exitCode"])
        reason = _ENDED.get(ended.get("reason", ""), f"The notebook server ended with exit code {code}.")
        return Running(alive=False, target=target, exit_code=code, reason=reason)
    if reason := _waits_in_vain(state.get("waiting", {})):
        return Running(alive=False, target=target, reason=reason)
    if (seed := seed_in(pod)) and seed.code:
        return Running(alive=False, target=target, reason=f"A seed of it failed with exit code {seed.code}.")
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") in {"Failed", "Succeeded"}:
        return Running(alive=False, target=target, reason=why_taken(pod), taken=True)
    return Running(alive=True, target=target)


def last_of(pod: Pod) -> Running:
    """Return what a session is at whose pod somebody took away, from what that was like in the end."""
    found = running_of(pod)
    return Running(alive=False, reason=why_taken(pod), taken=True) if found.alive else found


def why_taken(pod: Pod) -> str:
    """Return why somebody took a pod away, from what it was like in the end."""
    return next((reason for said in _conditions(pod, "DisruptionTarget") if (reason := _why_disrupted(said))), _TAKEN)


def has_started(pod: Pod) -> bool:
    """Whether its server was started, and where it listens is known."""
    return bool(pod.get("status", {}).get("podIP")) and bool(_state_of(pod).keys() & {"running", "terminated"})


def has_node(pod: Pod) -> bool:
    """Whether a node was found for it."""
    return "nodeName" in pod["spec"]


def waits_for(pod: Pod) -> str:
    """Return what a pod that has not started waits for, as the cluster says it, or an empty text."""
    for condition in _conditions(pod, "PodScheduled"):
        if condition["status"] == "False":
            return str(condition.get("message", ""))
    waiting = _state_of(pod).get("waiting", {})
    return str(waiting.get("message") or waiting.get("reason", ""))


def _end_with_its_node(status: Mapping[str, Any]) -> str:
    reason = str(status.get("reason", ""))
    if reason == "Evicted":
        return why_evicted(status.get("message", ""))
    return _NO_PLACE_AFTER_ALL if reason.startswith("OutOf") else _ENDED_WITH_ITS_NODE.get(reason, "")


def _waits_in_vain(waiting: Mapping[str, Any]) -> str:
    """Return why a container waits in vain. An image may still come, until the kubelet backs off."""
    reason, said = waiting.get("reason", ""), why_not_pulled(waiting.get("message", ""))
    if reason == "ImagePullBackOff" or (reason == "ErrImagePull" and is_in_vain(said)):
        return said
    return _IN_VAIN.get(reason, "")


def _why_disrupted(condition: Mapping[str, Any]) -> str:
    return why_disrupted(condition.get("reason", "")) if condition["status"] == "True" else ""


def _conditions(pod: Pod, kind: str) -> list[Mapping[str, Any]]:
    return [one for one in pod.get("status", {}).get("conditions", ()) if one["type"] == kind]


def _state_of(pod: Pod) -> Mapping[str, Any]:
    statuses = pod.get("status", {}).get("containerStatuses") or [{}]
    state: Mapping[str, Any] = statuses[0].get("state", {})
    return state
