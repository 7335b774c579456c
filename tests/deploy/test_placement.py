"""Where sessions may run: the settings' words become the fields of a Pod, and nothing else does."""

import pytest

from binder.errors import OperatorFault
from binder.settings import read_settings
from deploy.placement import ANYWHERE, Placement, Toleration, placement_of, pod_fields


def test_the_settings_say_where_sessions_run() -> None:
    settings = read_settings(
        session_node_selector="pool=sessions, disk=fast",
        session_tolerations="for=sessions:NoSchedule,spot,gpu:NoExecute",
        session_priority_class="sessions",
        session_gpu_resource="amd.com/gpu",
        session_pull_secrets="registry, other",
        session_disk_bytes=2**30,
    )
    assert placement_of(settings) == Placement(
        {"pool": "sessions", "disk": "fast"},
        (Toleration("for", "sessions", "NoSchedule"), Toleration("spot"), Toleration("gpu", "", "NoExecute")),
        "sessions",
        "amd.com/gpu",
        ("registry", "other"),
        2**30,
    )
    assert placement_of(read_settings(session_disk_bytes=0)) == ANYWHERE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("session_node_selector", "pool"),
        ("session_node_selector", "=x"),
        ("session_tolerations", "a=b:Never"),
        ("session_tolerations", "=b"),
    ],
)
def test_what_makes_no_sense_names_its_setting(name: str, value: str) -> None:
    with pytest.raises(OperatorFault, match=f"BINDER_{name.upper()}"):
        read_settings(**{name: value})


def test_a_session_leaves_a_node_that_is_lost_and_goes_where_the_operator_says() -> None:
    placement = Placement(
        {"pool": "sessions"}, (Toleration("for", "sessions", "NoSchedule"),), "sessions", pull_secrets=("x",)
    )
    lost = pod_fields(ANYWHERE, 0)["tolerations"]
    assert isinstance(lost, list)
    assert pod_fields(ANYWHERE, 0) == {"tolerations": lost}
    own = {"key": "for", "operator": "Equal", "value": "sessions", "effect": "NoSchedule"}
    assert pod_fields(placement, 0) == {
        "tolerations": [*lost, own],
        "nodeSelector": {"pool": "sessions"},
        "priorityClassName": "sessions",
        "imagePullSecrets": [{"name": "x"}],
    }


def test_only_who_asks_for_a_gpu_goes_to_the_nodes_that_have_some() -> None:
    tolerated = pod_fields(ANYWHERE, 1)["tolerations"]
    assert isinstance(tolerated, list)
    assert tolerated[-1] == {"key": "nvidia.com/gpu", "operator": "Exists"}
    assert pod_fields(ANYWHERE, 0)["tolerations"] == tolerated[:-1]
