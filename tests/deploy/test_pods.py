"""What a Pod's state means for a visitor: each way to end has its own words."""

from typing import Any

import pytest

from deploy.engine import Running
from deploy.pods import has_node, has_started, running_of, waits_for

ADDRESS = {"podIP": "10.0.0.7"}
TARGET = "10.0.0.7:8888"


def _pod(status: dict[str, Any], *, state: dict[str, Any] | None = None, **metadata: str) -> dict[str, Any]:
    containers = {"containerStatuses": [{"state": state}]} if state else {}
    return {"metadata": metadata, "spec": {}, "status": {**status, **containers}}


def _ended(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


def test_one_that_nobody_has_seen_yet_is_on_its_way() -> None:
    pod: dict[str, Any] = {"metadata": {}, "spec": {}}
    assert running_of(pod) == Running(alive=True)
    assert (has_node(pod), has_started(pod), waits_for(pod)) == (False, False, "")


def test_one_that_runs_has_a_target() -> None:
    pod = _pod({"phase": "Running", **ADDRESS}, state={"running": {}})
    assert running_of(pod) == Running(alive=True, target=TARGET)
    assert has_started(pod)
    assert not has_started(_pod({"phase": "Running"}, state={"running": {}}))
    assert not has_started(_pod({"phase": "Pending", **ADDRESS}, state={"waiting": {"reason": "ContainerCreating"}}))


@pytest.mark.parametrize(
    ("status", "state", "code", "reason"),
    [
        ({"phase": "Failed"}, _ended(3), 3, "The notebook server ended with exit code 3."),
        ({"phase": "Succeeded"}, _ended(0, "Completed"), 0, "The notebook server ended with exit code 0."),
        ({"phase": "Failed"}, _ended(137, "OOMKilled"), 137, "It ran out of memory."),
        ({"phase": "Failed"}, _ended(128, "StartError"), 128, "The container could not be started."),
        ({"phase": "Failed", "reason": "Evicted"}, None, None, "Its node ran short of memory or disk, and ended it."),
        (
            {"phase": "Failed", "reason": "Evicted"},
            _ended(137),
            None,
            "Its node ran short of memory or disk, and ended it.",
        ),
        ({"phase": "Running", "reason": "NodeLost"}, {"running": {}}, None, "The node that it ran on was lost."),
        ({"phase": "Failed", "reason": "Terminated"}, _ended(143), None, "The node that it ran on was shut down."),
        ({"phase": "Failed"}, None, None, "The cluster took it away."),
    ],
)
def test_one_that_ended_says_why(
    status: dict[str, Any], state: dict[str, Any] | None, code: int | None, reason: str
) -> None:
    found = running_of(_pod({**status, **ADDRESS}, state=state))
    assert found == Running(alive=False, target=TARGET, exit_code=code, reason=reason)


def test_one_that_is_taken_away_does_not_live_any_more() -> None:
    pod = _pod({"phase": "Running"}, state={"running": {}}, deletionTimestamp="2026-01-01T00:00:00Z")
    assert running_of(pod) == Running(alive=False, reason="The cluster took it away.")


@pytest.mark.parametrize(
    ("waiting", "alive"), [("ContainerCreating", True), ("ErrImagePull", True), ("ImagePullBackOff", False)]
)
def test_an_image_that_fails_once_may_still_come(waiting: str, alive: bool) -> None:
    pod = _pod({"phase": "Pending"}, state={"waiting": {"reason": waiting}})
    assert running_of(pod).alive is alive
    assert waits_for(pod) == waiting


def test_what_a_pod_without_a_node_waits_for_is_the_schedulers_word() -> None:
    message = "0/1 nodes are available: 1 Insufficient memory."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    assert waits_for(_pod({"phase": "Pending", "conditions": [condition]})) == message
