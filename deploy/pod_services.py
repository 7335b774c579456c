"""What Kubernetes says of the services and seeds in a Pod. Pure: a Pod is JSON as the API server gives it.

Services of the session's own pod are sidecars, and their status is among those of its init containers; one with a pod
of its own is that pod's container.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from binder.errors import BinderError, OperatorFault
from deploy.engine import RESTARTS_AT_MOST, ServiceState
from deploy.reasons import is_in_vain, why_not_pulled
from deploy.service_manifests import SERVICE
from deploy.service_words import does_not_stay, not_up, said_of_end, too_slow
from modules.services import Service

_Status = Mapping[str, Any]

# How often one may end while its session is started. The kubelet waits for 10 s before a third time.
_ENDS_AT_START = 2
_PROBED_SECONDS = 3
_NEVER_STARTED = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


class SeenService(NamedTuple):
    """What is kept of a service."""

    state: ServiceState
    lasted_seconds: float
    """How long it ran before it last ended."""
    in_vain: str
    """Why it can never start, in a sentence."""

    @property
    def has_ended_too_often(self) -> bool:
        """Whether a session that is started should wait no longer for it."""
        return not self.state.ready and self.state.restarts >= _ENDS_AT_START and self.state.reason is not None


class SeenSeed(NamedTuple):
    """A seed that runs, or has failed: then `code` is its exit code."""

    container: str
    code: int | None


def services_in(pod: Mapping[str, Any]) -> dict[str, SeenService]:
    """Return the services in a pod: name → what is kept of it."""
    status = pod.get("status", {})
    if own := service_of(pod):
        if pod["metadata"].get("deletionTimestamp"):
            return {}  # another one takes its place
        (first, *_) = status.get("containerStatuses") or (None,)
        return {own: _seen(first)} if first else {}
    return {one["name"]: _seen(one) for one in status.get("initContainerStatuses") or () if not _is_seed(one)}


def service_of(pod: Mapping[str, Any]) -> str:
    """Return the name of the service whose own pod it is; empty: it is the notebook's."""
    return str(pod["metadata"].get("labels", {}).get(SERVICE, ""))


def seed_in(pod: Mapping[str, Any]) -> SeenSeed | None:
    """Return the seed that a pod is at, or that has failed in it."""
    for one in filter(_is_seed, pod.get("status", {}).get("initContainerStatuses") or ()):
        state = one.get("state", {})
        if "running" in state:
            return SeenSeed(one["name"], None)
        if code := int(state.get("terminated", {}).get("exitCode", 0)):
            return SeenSeed(one["name"], code)
    return None


def fault_of(one: Service, seen: SeenService, log: str) -> BinderError | None:
    """Return why a service does not come up, with what it last wrote; None: it still may."""
    if seen.in_vain:
        return OperatorFault(f"The image of {one.title} is not to be had: {seen.in_vain}")
    if seen.state.ready or not seen.state.restarts:
        return None
    if seen.lasted_seconds >= max(1, one.seconds - _PROBED_SECONDS):
        return not_up(too_slow(one.title, one.seconds), log)
    if seen.has_ended_too_often:
        return not_up(does_not_stay(one.title, seen.state.reason or ""), log)
    return None


def _is_seed(status: _Status) -> bool:
    return "-" not in status["name"]


def _seen(status: _Status) -> SeenService:
    state, restarts = status.get("state", {}), int(status.get("restartCount", 0))
    ready = bool(status.get("ready")) and "running" in state
    ended = state.get("terminated") or status.get("lastState", {}).get("terminated") or {}
    reason = _reason(ended) if ended and not ready else None
    gave_up = "waiting" in state and restarts >= RESTARTS_AT_MOST
    return SeenService(
        ServiceState(ready, restarts, reason, gave_up), _lasted(ended), _in_vain(state.get("waiting", {}))
    )


def _reason(ended: _Status) -> str:
    return said_of_end(int(ended.get("exitCode", 0)), ended.get("reason") == "OOMKilled")


def _lasted(ended: _Status) -> float:
    begin, end = ended.get("startedAt"), ended.get("finishedAt")
    if not begin or not end:
        return 0.0
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def _in_vain(waiting: _Status) -> str:
    reason, message = waiting.get("reason", ""), str(waiting.get("message", ""))
    if reason == "ErrImageNeverPull":
        return "It is in no registry."
    if reason == "InvalidImageName":
        return "It has a name that is none."
    if reason in _NEVER_STARTED:
        return "Its container could not be started."
    said = why_not_pulled(message)
    return said if reason == "ImagePullBackOff" or (reason == "ErrImagePull" and is_in_vain(said)) else ""
