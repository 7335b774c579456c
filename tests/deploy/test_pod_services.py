"""What a Pod's state means for the services and seeds in it."""

from dataclasses import replace
from typing import Any

import pytest

from binder.errors import OperatorFault, RepositoryFault
from deploy.engine import Running, ServiceState
from deploy.pod_services import SeenSeed, fault_of, seed_in, services_in
from deploy.pods import seen
from tests.deploy.services import store

(_STORE,) = store("registry.example.org/store:1").services
_LABELS = {"binder.session": "s" + "a" * 15}


def _status(name: str = "store-server", **fields: Any) -> dict[str, Any]:
    return {"name": name, "ready": False, "restartCount": 0, "state": {}, **fields}


def _pod(*statuses: dict[str, Any], phase: str = "Pending", **labels: str) -> dict[str, Any]:
    where = "containerStatuses" if labels else "initContainerStatuses"
    return {
        "metadata": {"labels": {**_LABELS, **{f"binder.{name}": value for name, value in labels.items()}}},
        "spec": {"nodeName": "one"},
        "status": {"phase": phase, "podIP": "10.0.0.7", where: list(statuses)},
    }


def _ended(code: int, *, lasted: int = 2, reason: str = "Error") -> dict[str, Any]:
    begin, end = "2026-01-01T00:00:00Z", f"2026-01-01T00:00:{lasted:02}Z"
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": begin, "finishedAt": end}}


_RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
_BACKING_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}


def _again(code: int, restarts: int, *, lasted: int = 2, **fields: Any) -> dict[str, Any]:
    return _status(restartCount=restarts, lastState=_ended(code, lasted=lasted), **fields)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (_status(), ServiceState(False)),
        (_status(state=_RUNNING), ServiceState(False)),
        (_status(state=_RUNNING, ready=True), ServiceState(True)),
        (_status(state=_ended(7)), ServiceState(False, 0, "It ended with exit code 7.")),
        (_again(7, 1, state=_RUNNING), ServiceState(False, 1, "It ended with exit code 7.")),
        (_again(7, 1, state=_RUNNING, ready=True), ServiceState(True, 1)),
        (_again(7, 4, state=_BACKING_OFF), ServiceState(False, 4, "It ended with exit code 7.")),
        (_again(7, 5, state=_BACKING_OFF), ServiceState(False, 5, "It ended with exit code 7.", gave_up=True)),
        (_status(state=_ended(137, reason="OOMKilled")), ServiceState(False, 0, "It ran out of memory.")),
    ],
)
def test_a_service_is_at_what_its_container_is_at(status: dict[str, Any], state: ServiceState) -> None:
    assert services_in(_pod(status))["store-server"].state == state
    assert services_in(_pod(status, service="store-server"))["store-server"].state == state


def test_a_pod_of_a_service_that_is_on_its_way_out_says_nothing_of_it() -> None:
    pod = _pod(_status(state=_RUNNING, ready=True), service="store-server")
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert services_in(pod) == {}


def test_a_session_says_what_its_services_are_at() -> None:
    pod = seen(_pod(_status(state=_RUNNING, ready=True)))
    assert pod.running == Running(True, "10.0.0.7:8888", services={"store-server": ServiceState(True)})
    assert (pod.service, seen(_pod(_status(), service="store-server")).service) == ("", "store-server")


def test_a_seed_is_no_service() -> None:
    pod = _pod(_status("seed0", state=_RUNNING), _status())
    assert set(services_in(pod)) == {"store-server"}
    assert seed_in(pod) == SeenSeed("seed0", None)
    assert seed_in(_pod(_status("seed0", state=_ended(0)), _status("seed1", state={}))) is None


def test_a_seed_that_failed_is_no_reason_to_try_again() -> None:
    pod = seen(_pod(_status("seed0", state=_ended(4)), phase="Failed"))
    assert pod.seed == SeenSeed("seed0", 4)
    assert (pod.running.alive, pod.running.taken) == (False, False)
    assert pod.running.reason == "A seed of it failed with exit code 4."


@pytest.mark.parametrize(
    "status",
    [
        _status(state=_RUNNING),
        _status(state=_ended(1)),
        _again(1, 1, state=_BACKING_OFF),
        _again(1, 3, state=_RUNNING, ready=True),
        _status(state={"waiting": {"reason": "ErrImagePull", "message": "dial tcp: timeout"}}),
    ],
)
def test_a_service_that_may_still_come_up_is_waited_for(status: dict[str, Any]) -> None:
    assert fault_of(_STORE, services_in(_pod(status))["store-server"], "") is None


@pytest.mark.parametrize(
    ("status", "party", "said"),
    [
        (
            _again(9, 2, state=_BACKING_OFF),
            RepositoryFault,
            "Store did not start. It ended with exit code 9. Its last lines: no such option",
        ),
        (
            _again(137, 1, lasted=30, state=_RUNNING),
            RepositoryFault,
            "Store did not become ready within 30 s. Its last lines: no such option",
        ),
        (
            _status(state={"waiting": {"reason": "ImagePullBackOff", "message": "manifest unknown"}}),
            OperatorFault,
            "The image of Store is not to be had: Its image is not in the registry.",
        ),
        (
            _status(state={"waiting": {"reason": "ErrImageNeverPull"}}),
            OperatorFault,
            "The image of Store is not to be had: It is in no registry.",
        ),
    ],
)
def test_a_service_that_does_not_come_up_says_why(status: dict[str, Any], party: type, said: str) -> None:
    fault = fault_of(replace(_STORE, seconds=30), services_in(_pod(status))["store-server"], "no such option\n")
    assert isinstance(fault, party)
    assert str(fault) == said
