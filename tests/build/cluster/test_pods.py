"""What is made of a Job and its pod, as an API server has them."""

from typing import Any

import pytest

from binder.errors import BinderError, OperatorFault, RepositoryFault, WorldFault
from build.cluster.manifests import Builders
from build.cluster.pods import Look, impatience, is_at_work, is_built_on, look_at

BUILDERS = Builders("registry.example/builder:1", "", 2 * 2**30, 3600)
_JOB: dict[str, Any] = {"metadata": {"name": "b"}}


def _pod(*, deleted: bool = False, **status: object) -> dict[str, Any]:
    metadata = {"name": "b-x", **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {})}
    return {"metadata": metadata, "status": status}


def _in(**state: object) -> list[dict[str, Any]]:
    return [{"name": "build", "state": state}]


def _look(pod: dict[str, Any]) -> Look:
    return look_at([pod], _JOB, BUILDERS)


def _disrupted(reason: str) -> dict[str, Any]:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason}
    return _pod(deleted=True, conditions=[condition], containerStatuses=_in(running={}))


_SCHEDULED = [{"type": "PodScheduled", "status": "True"}]


@pytest.mark.parametrize(
    ("pod", "stage", "waits"),
    [
        (_pod(), "unplaced", ""),
        (
            _pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient memory"}]),
            "unplaced",
            "0/1 nodes: Insufficient memory",
        ),
        (_pod(conditions=_SCHEDULED), "starting", ""),
        (
            _pod(conditions=_SCHEDULED, containerStatuses=_in(waiting={"reason": "ContainerCreating"})),
            "starting",
            "",
        ),
        (
            _pod(
                conditions=_SCHEDULED,
                containerStatuses=_in(waiting={"reason": "ImagePullBackOff", "message": "not found"}),
            ),
            "pulling",
            "not found",
        ),
        (
            _pod(
                conditions=_SCHEDULED,
                containerStatuses=_in(waiting={"reason": "PodInitializing"}),
                initContainerStatuses=_in(waiting={"reason": "ErrImagePull", "message": "no such host"}),
            ),
            "pulling",
            "no such host",
        ),
        (_pod(conditions=_SCHEDULED, containerStatuses=_in(running={})), "running", ""),
    ],
)
def test_a_pod_that_may_yet_build_has_no_fault(pod: dict[str, Any], stage: str, waits: str) -> None:
    assert _look(pod) == Look(stage, "b-x", waits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pod", "fault", "words"),
    [
        (
            _pod(containerStatuses=_in(terminated={"exitCode": 137, "reason": "OOMKilled"})),
            RepositoryFault,
            "wanted more than the 2.1 GB of memory",
        ),
        (
            _pod(containerStatuses=_in(terminated={"exitCode": 137, "reason": "Error"})),
            WorldFault,
            r"killed \(signal 9\)",
        ),
        (_pod(containerStatuses=_in(terminated={"exitCode": 1, "reason": "Error"})), OperatorFault, "exit code 1"),
        (_pod(containerStatuses=_in(terminated={"exitCode": 0})), OperatorFault, "exit code 0"),
        (
            _pod(containerStatuses=_in(terminated={"exitCode": 128, "reason": "StartError", "message": "no binder"})),
            OperatorFault,
            "cannot be started: no binder",
        ),
        (_pod(initContainerStatuses=_in(terminated={"exitCode": 1})), OperatorFault, "exit code 1"),
        (_pod(containerStatuses=_in(waiting={"reason": "InvalidImageName"})), OperatorFault, "InvalidImageName"),
        (
            _pod(reason="Evicted", message="The node was low on resource: ephemeral-storage."),
            WorldFault,
            "ran short of memory or disk, and ended it: The node was low",
        ),
        (_pod(reason="NodeLost"), WorldFault, "was lost"),
        (_disrupted("DeletionByTaintManager"), WorldFault, "node of the build was lost"),
        (_disrupted("EvictionByEvictionAPI"), WorldFault, "drained"),
        (_disrupted("PreemptionByScheduler"), WorldFault, "more important"),
        (_pod(deleted=True, containerStatuses=_in(running={})), WorldFault, "taken away"),
        (_pod(phase="Failed"), WorldFault, "taken away"),
    ],
)
def test_the_end_of_a_pod_is_somebodys_fault(pod: dict[str, Any], fault: type[BinderError], words: str) -> None:
    look = _look(pod)
    assert look.stage == "ended"
    with pytest.raises(fault, match=words):
        raise look.fault or AssertionError


def test_a_job_without_a_pod_waits_for_one() -> None:
    assert look_at([], _JOB, BUILDERS) == Look("unmade")


def test_a_job_that_took_too_long_is_the_repositorys_fault() -> None:
    job = _JOB | {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}}
    for pods in ([], [_pod(deleted=True)]):
        with pytest.raises(RepositoryFault, match="did not end within 3600 seconds"):
            raise look_at(pods, job, BUILDERS).fault or AssertionError


def test_a_job_whose_pod_is_gone_does_not_wait_for_another() -> None:
    conditions = [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]
    with pytest.raises(WorldFault, match="taken away"):
        raise look_at([], _JOB | {"status": {"conditions": conditions}}, BUILDERS).fault or AssertionError


def test_a_job_that_somebody_deletes_is_taken_away() -> None:
    job = {"metadata": _JOB["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    running = _pod(containerStatuses=_in(running={}))
    with pytest.raises(WorldFault, match="taken away"):
        raise look_at([running], job, BUILDERS).fault or AssertionError


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (Look("unmade", waits="exceeded quota"), "makes no pod of the build's Job: exceeded quota"),
        (Look("unplaced", waits="Insufficient memory"), "has no node for the build: Insufficient memory"),
        (Look("pulling", waits="not found"), "registry.example/builder:1, cannot be pulled: not found"),
        (Look("starting"), "did not start the builder in time."),
    ],
)
def test_who_waits_for_too_long_says_for_what(look: Look, words: str) -> None:
    with pytest.raises(OperatorFault, match=words):
        raise impatience(look, BUILDERS)


@pytest.mark.parametrize(
    ("pod", "is_so"),
    [
        (_pod(containerStatuses=_in(running={})), True),
        (_pod(deleted=True, containerStatuses=_in(running={})), True),
        (_pod(phase="Pending"), True),
        (_pod(deleted=True, phase="Pending"), False),
        (_pod(deleted=True, containerStatuses=_in(terminated={"exitCode": 143})), False),
        (_pod(phase="Succeeded", containerStatuses=_in(terminated={"exitCode": 0})), False),
    ],
)
def test_a_pod_is_at_work_until_its_node_says_that_it_ended(pod: dict[str, Any], is_so: bool) -> None:
    assert is_at_work(pod) is is_so


def test_nodes_that_are_ready_and_open_are_built_on() -> None:
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    lost = {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    assert [is_built_on(node) for node in (ready, lost, ready | {"spec": {"unschedulable": True}}, {})] == [
        True,
        False,
        False,
        False,
    ]
