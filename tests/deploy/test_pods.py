"""What a Pod's state means for a visitor: each way to end has its own words."""

from typing import Any

import pytest

from deploy.engine import Running
from deploy.pods import has_node, has_started, last_of, running_of, seen, waits_for, why_taken
from deploy.reasons import ROOM, TOO_MUCH_DISK, why_not_pulled, why_refused

ADDRESS = {"podIP": "10.0.0.7"}
TARGET = "10.0.0.7:8888"


def _pod(status: dict[str, Any], *, state: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
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


def _evicted(message: str) -> dict[str, Any]:
    return {"phase": "Failed", "reason": "Evicted", "message": message}


_SHORT_OF_MEMORY = "Its node ran short of memory, and ended it."


@pytest.mark.parametrize(
    ("status", "state", "code", "reason"),
    [
        ({"phase": "Failed"}, _ended(3), 3, "The notebook server ended with exit code 3."),
        ({"phase": "Succeeded"}, _ended(0, "Completed"), 0, "The notebook server ended with exit code 0."),
        ({"phase": "Failed"}, _ended(137, "OOMKilled"), 137, "It ran out of memory."),
        ({"phase": "Failed"}, _ended(128, "StartError"), 128, "The container could not be started."),
        (_evicted("The node was low on resource: memory. Threshold"), None, None, _SHORT_OF_MEMORY),
        (_evicted("The node was low on resource: memory. Threshold"), _ended(137), None, _SHORT_OF_MEMORY),
        (
            _evicted("The node was low on resource: ephemeral-storage. "),
            None,
            None,
            "Its node ran short of disk, and ended it.",
        ),
        (
            _evicted("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."),
            None,
            None,
            "It used more disk than a session may.",
        ),
        ({"phase": "Failed", "reason": "Evicted"}, None, None, "Its node ran short of memory or disk, and ended it."),
        ({"phase": "Failed", "reason": "OutOfmemory"}, None, None, "Its node had no room for it after all."),
        (
            {"phase": "Failed", "reason": "UnexpectedAdmissionError"},
            None,
            None,
            "Its node had no room for it after all.",
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
    taken = code is None and reason != TOO_MUCH_DISK
    assert found == Running(alive=False, target=TARGET, exit_code=code, reason=reason, taken=taken)


def test_one_that_is_taken_away_does_not_live_any_more() -> None:
    pod = _pod({"phase": "Running"}, state={"running": {}}, deletionTimestamp="2026-01-01T00:00:00Z")
    assert running_of(pod) == Running(alive=False, reason="The cluster took it away.", taken=True)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("PreemptionByScheduler", "Its place was given to something that the operator holds to be more important."),
        ("DeletionByTaintManager", "The node that it ran on was lost."),
        ("DeletionByPodGC", "The node that it ran on was lost."),
        ("EvictionByEvictionAPI", "The operator has its node emptied."),
        ("SomethingNew", "The cluster took it away."),
    ],
)
def test_one_that_is_taken_away_says_by_whom(reason: str, words: str) -> None:
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": reason}
    pod = _pod({"phase": "Running", "conditions": [disrupted]}, state={"running": {}})
    assert running_of(pod).alive, "it is not taken away yet"
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert running_of(pod) == last_of(pod) == Running(alive=False, reason=words, taken=True)
    disrupted["status"] = "False"
    assert why_taken(pod) == "The cluster took it away."


# As containerd and its registries say it.
_PULL = "failed to pull and unpack image"
_RESOLVE = 'failed to resolve reference "r/x:1"'


@pytest.mark.parametrize(
    ("said", "at_once", "words"),
    [
        (f"{_PULL}: {_RESOLVE}: r/x:1: not found", True, "Its image is not in the registry."),
        (
            f"{_RESOLVE}: pull access denied, repository does not exist or may require authorization",
            True,
            "The cluster may not read its image: the registry refuses it.",
        ),
        (
            f"{_RESOLVE}: unexpected status from HEAD request to https://r/v2/x/manifests/1: 401 Unauthorized",
            True,
            "The cluster may not read its image: the registry refuses it.",
        ),
        (
            f'{_RESOLVE}: failed to do request: Head "https://r/v2/": dial tcp 10.0.0.1:443: connection refused',
            False,
            "The registry that its image is in cannot be reached.",
        ),
        (
            f"{_RESOLVE}: unexpected status from HEAD request to https://r/v2/: 503 Service Unavailable",
            False,
            "The registry that its image is in cannot be reached.",
        ),
        ("write /var/lib/x: no space left on device", False, "Its node has no disk left for its image."),
        ("", False, "Its image cannot be brought from the registry."),
    ],
)
def test_why_an_image_does_not_come_is_told_apart(said: str, at_once: bool, words: str) -> None:
    failed, backs_off = (
        _pod({"phase": "Pending"}, state={"waiting": {"reason": reason, "message": f"{before}{said}"}})
        for reason, before in (("ErrImagePull", ""), ("ImagePullBackOff", 'Back-off pulling image "r/x:1": '))
    )
    assert running_of(failed).alive is not at_once, "what may come is tried again"
    assert running_of(backs_off) == Running(alive=False, reason=words)


def test_one_that_waits_for_what_cannot_be_is_given_up() -> None:
    pod = _pod({"phase": "Pending"}, state={"waiting": {"reason": "ErrImageNeverPull"}})
    assert running_of(pod) == Running(alive=False, reason="Its image is in no registry.")
    assert running_of(_pod({"phase": "Pending"}, state={"waiting": {"reason": "ContainerCreating"}})).alive


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "0/2 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint {a: b}. "
            "preemption: 0/2 nodes are available: 1 Insufficient cpu.",
            "The cluster has no room for it now: no node has enough memory left.",
        ),
        ("0/1 nodes are available: 1 Insufficient cpu.", f"{ROOM} no node has enough processors left."),
        ("0/1 nodes are available: 1 Too many pods.", f"{ROOM} no node may run more pods."),
        (
            "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
            f"{ROOM} no node has a GPU left, or as many as it asks for.",
        ),
        (
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            "The cluster has no node on which sessions may run.",
        ),
        ("no nodes available to schedule pods", "The cluster has no node on which sessions may run."),
        ("the scheduler is not in the mood", "the scheduler is not in the mood"),
    ],
)
def test_why_there_is_no_node_is_told_apart(said: str, words: str) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
    found = seen(_pod({"phase": "Pending", "conditions": [condition]}, labels={"binder.session": "s"}))
    assert (found.waits_for, found.why, found.running.alive) == (said, words, True)


def test_one_with_a_node_waits_for_its_image_or_for_nothing() -> None:
    for message, words in (("", ""), ("cannot pull: 403 Forbidden", why_not_pulled("403 Forbidden"))):
        waiting = {"waiting": {"reason": "ContainerCreating", "message": message}}
        pod = _pod({"phase": "Pending"}, state=waiting, labels={"binder.session": "s"})
        assert seen(pod | {"spec": {"nodeName": "node"}}).why == words


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            'pods "a" is forbidden: exceeded quota: one, requested: pods=1',
            f"{ROOM} the quota of its namespace is used up.",
        ),
        (
            'pods "a" is forbidden: failed quota: one: must specify limits.cpu for: notebook',
            "The quota of its namespace asks for a limit that sessions do not have.",
        ),
        (
            'pods "a" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
            "It asks for other resources than the cluster's LimitRange allows.",
        ),
        (
            'pods "a" is forbidden: violates PodSecurity "restricted:latest": privileged',
            "The cluster's Pod Security does not let sessions run in their namespace.",
        ),
        ("no such namespace", "no such namespace"),
    ],
)
def test_why_the_api_server_takes_no_pod_is_told_apart(said: str, words: str) -> None:
    assert why_refused(said) == words
