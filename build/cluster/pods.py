"""What a builder's pod is at, and whose fault it is that it does not build. Pure: a Pod is JSON, as the API server has
it.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/, https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from binder.build_words import words_of_size
from binder.errors import BinderError, OperatorFault, RepositoryFault, WorldFault
from build.cluster.manifests import Builders

Object = Mapping[str, Any]

Stage = Literal["unmade", "unplaced", "pulling", "starting", "running", "ended"]

PATIENCE_SECONDS: Mapping[Stage, float] = {"unmade": 30.0, "unplaced": 600.0, "pulling": 120.0, "starting": 600.0}
"""How long a pod may be at a stage before its build fails: a node may first have to be made for it."""

_NOT_PULLED = frozenset({"ErrImagePull", "ImagePullBackOff"})
_IN_VAIN = frozenset({"InvalidImageName", "ErrImageNeverPull", "CreateContainerError", "RunContainerError"})
_OF_ITS_NODE = {
    "Evicted": "The node of the build ran short of memory or disk, and ended it",
    "NodeLost": "The node of the build was lost",
    "Shutdown": "The node of the build was shut down",
    "Terminated": "The node of the build was shut down",
    "NodeShutdown": "The node of the build was shut down",
    "DeletionByTaintManager": "The node of the build was lost",
    "DeletionByPodGC": "The node of the build was lost",
    "TerminationByKubelet": "The node of the build ended it, being short of something or shut down",
    "PreemptionByScheduler": "The cluster needed the place of the build for something more important",
    "EvictionByEvictionAPI": "The node of the build was drained",
}
_KILLED = 128
_LONGEST = 300


@dataclass(frozen=True)
class Look:
    """What was seen of a build's pod. `waits` says for what it waits; it ended by `fault`, where it did not say how."""

    stage: Stage
    pod: str | None = None
    waits: str = ""
    fault: BinderError | None = None


def look_at(pods: Sequence[Object], job: Object, builders: Builders) -> Look:
    """Return what a Job is at, by its pods: there is one at most."""
    if fault := _fault_of_job(job, builders, has_pod=bool(pods)):
        # What it said before may still be read, as long as it is there.
        return Look("ended", _name(pods[0]) if pods else None, fault=fault)
    if not pods:
        return Look("unmade")
    pod, name = pods[0], _name(pods[0])
    if fault := _fault_of_pod(pod, builders):
        return Look("ended", name, fault=fault)
    status = pod.get("status", {})
    state = _state_of(status)
    return Look("running", name) if "running" in state else _waiting(name, status, state.get("waiting", {}), builders)


def _fault_of_pod(pod: Object, builders: Builders) -> BinderError | None:
    status = pod.get("status", {})
    if reason := _reason_of_node(status):
        return WorldFault(f"{reason}{_said(status)}")
    if pod["metadata"].get("deletionTimestamp"):
        return taken_away()
    if ended := _state_of(status).get("terminated"):
        return _fault_of_end(ended, builders)
    return taken_away() if status.get("phase") in {"Failed", "Succeeded"} else None


def taken_away() -> WorldFault:
    """Return the fault of a pod that somebody deleted."""
    return WorldFault("The builder was taken away while it built.")


def impatience(look: Look, builders: Builders) -> OperatorFault:
    """Return the fault of a pod that was at a stage for too long."""
    waits = f": {look.waits}" if look.waits else "."
    match look.stage:
        case "unmade":
            return OperatorFault(f"The cluster makes no pod of the build's Job{waits}")
        case "unplaced":
            return OperatorFault(f"The cluster has no node for the build{waits}")
        case "pulling":
            return OperatorFault(f"The image of builders, {builders.image}, cannot be pulled{waits}")
        case _:
            return OperatorFault(f"The cluster did not start the builder in time{waits}")


def is_at_work(pod: Object) -> bool:
    """Whether anything runs in a pod, or may yet."""
    status = pod.get("status", {})
    states = [one.get("state", {}) for one in status.get("containerStatuses", ())]
    if not pod["metadata"].get("deletionTimestamp"):
        return status.get("phase") not in {"Failed", "Succeeded"}
    return any("running" in state for state in states)


def is_built_on(node: Object) -> bool:
    """Whether builds may run on a node at present."""
    conditions = node.get("status", {}).get("conditions", ())
    is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return is_ready and not node.get("spec", {}).get("unschedulable", False)


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])


def _fault_of_job(job: Object, builders: Builders, *, has_pod: bool) -> BinderError | None:
    if job["metadata"].get("deletionTimestamp"):
        return taken_away()
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["status"] == "True" and condition.get("reason") == "DeadlineExceeded":
            return too_long(builders)
        if condition["status"] == "True" and condition["type"] == "Failed" and not has_pod:
            return taken_away()
    return None


def too_long(builders: Builders) -> RepositoryFault:
    """Return the fault of a build that did not end."""
    return RepositoryFault(f"The build did not end within {builders.seconds} seconds, and was stopped.", step="build")


def _reason_of_node(status: Object) -> str | None:
    reasons = [status.get("reason", "")]
    reasons += [
        one.get("reason", "")
        for one in status.get("conditions", ())
        if one["type"] == "DisruptionTarget" and one["status"] == "True"
    ]
    return next((_OF_ITS_NODE[reason] for reason in reasons if reason in _OF_ITS_NODE), None)


def _said(status: Object) -> str:
    message = str(status.get("message", "")).strip()[:_LONGEST]
    return f": {message}" if message else "."


def _state_of(status: Object) -> Object:
    """Return the state of the container that does not run though it should, else of the builder."""
    first: Sequence[Object] = status.get("initContainerStatuses", ())
    for one in first:
        state: Object = one.get("state", {})
        if state.get("waiting", {}).get("reason", "PodInitializing") != "PodInitializing":
            return state
        if state.get("terminated", {}).get("exitCode", 0):
            return state
    statuses: Sequence[Object] = status.get("containerStatuses", ())
    return statuses[0].get("state", {}) if statuses else {}


def _fault_of_end(ended: Object, builders: Builders) -> BinderError:
    code = int(ended["exitCode"])
    if ended.get("reason") == "OOMKilled":
        size = words_of_size(builders.memory_bytes)
        return RepositoryFault(f"The build wanted more than the {size} of memory that it may use.", step="build")
    if ended.get("reason") in {"ContainerCannotRun", "StartError"}:
        return OperatorFault(f"The builder cannot be started: {str(ended.get('message', ''))[:_LONGEST]}")
    if code > _KILLED:
        return WorldFault(f"The builder was killed (signal {code - _KILLED}) before it was done.")
    return OperatorFault(f"The builder ended with exit code {code} before it was done; the log of its pod says more.")


def _waiting(name: str, status: Object, waiting: Object, builders: Builders) -> Look:
    reason, message = waiting.get("reason", ""), str(waiting.get("message", ""))[:_LONGEST]
    if reason in _NOT_PULLED:
        return Look("pulling", name, message)
    if reason in _IN_VAIN:
        fault = OperatorFault(f"The builder, {builders.image}, cannot be started: {message or reason}")
        return Look("ended", name, fault=fault)
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Look("unplaced", name, str(condition.get("message", ""))[:_LONGEST])
    if not status.get("conditions"):
        return Look("unplaced", name)
    return Look("starting", name, message)
