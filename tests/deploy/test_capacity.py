"""What there is of what sessions run on, by a machine's account of itself, and by a cluster's of its nodes."""

from pathlib import Path

import pytest

from deploy.capacity import machine_capacity, node_capacity, quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [("2", 2), ("1500m", 1.5), ("2Gi", 2**31), ("100Ki", 102400), ("1k", 1000), ("3G", 3e9), ("", 0), ("many", 0)],
)
def test_quantities_of_kubernetes(text: str, number: float) -> None:
    assert quantity(text) == number


def test_a_machine_is_a_node(tmp_path: Path) -> None:
    node = machine_capacity(tmp_path)
    assert node["cpus"] >= 1
    assert node["memory_bytes"] >= node["memory_free_bytes"] > 0
    assert node["disk_bytes"] >= node["disk_free_bytes"] > 0
    assert machine_capacity(tmp_path / "nowhere")["disk_bytes"] > 0


def test_a_node_of_a_cluster() -> None:
    ready = {"type": "Ready", "status": "True"}
    free = {"cpu": "1500m", "memory": "4Gi", "ephemeral-storage": "10Gi", "pods": "110"}
    node = {"metadata": {"name": "one"}, "spec": {}, "status": {"allocatable": free, "conditions": [ready]}}
    assert node_capacity(node, 3) == {
        "name": "one",
        "is_ready": True,
        "cpus": 1.5,
        "memory_bytes": 2**32,
        "memory_free_bytes": None,
        "disk_bytes": 10 * 2**30,
        "disk_free_bytes": None,
        "sessions": 3,
    }
    assert not node_capacity({**node, "spec": {"unschedulable": True}}, 0)["is_ready"]
    assert list(machine_capacity(Path("/"))) == list(node_capacity(node, 0))
