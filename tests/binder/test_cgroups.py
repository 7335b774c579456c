"""Limits: which way there is, what is written, and what becomes of a group. (What they do: `test_podman`.)"""

import os
from pathlib import Path

import pytest

from binder.cgroups import (
    Allowance,
    CgroupFacts,
    Cgroups,
    Limits,
    limits_for,
    processes_lost_to_memory,
    read_cgroup_facts,
    values_for,
)
from binder.errors import OperatorFault

NAME, ALLOWED = "s234567abcdefghi", Allowance(memory_bytes=2**30, pids=100, cpus=1.5)
ALL_V1 = {name: Path("/v1") / name for name in ("memory", "pids", "cpu")}
ALL_V2 = dict.fromkeys(("memory", "pids", "cpu"), Path("/v2"))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (CgroupFacts(True, ALL_V1, {}), Limits(1, ALL_V1)),
        (CgroupFacts(True, {}, ALL_V2), Limits(2, ALL_V2)),
        (CgroupFacts(True, ALL_V1, {"memory": Path("/v2")}), Limits(1, ALL_V1)),
        (
            CgroupFacts(True, {"cpu": Path("/v1/cpu")}, {}),
            Limits(
                1,
                {"cpu": Path("/v1/cpu")},
                "Sessions run without limits on memory, the number of processes: "
                "this machine's control groups do not allow it.",
            ),
        ),
        (
            CgroupFacts(False, {}, {}),
            Limits(
                1,
                {},
                "Sessions run without limits on memory, the number of processes, their share of the processors: "
                "only a service that is root can.",
            ),
        ),
    ],
)
def test_the_way_that_limits_most_is_taken(facts: CgroupFacts, expected: Limits) -> None:
    assert limits_for(facts) == expected


def test_both_versions_say_the_same() -> None:
    assert values_for(ALLOWED, 1) == {
        "memory": {"memory.limit_in_bytes": "1073741824", "memory.memsw.limit_in_bytes": "1073741824"},
        "pids": {"pids.max": "100"},
        "cpu": {"cpu.shares": "1536"},
    }
    assert values_for(ALLOWED, 2) == {
        "memory": {"memory.max": "1073741824", "memory.swap.max": "0"},
        "pids": {"pids.max": "100"},
        "cpu": {"cpu.weight": "150"},
    }


def test_the_facts_are_read_from_what_the_kernel_offers(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "limits want a service that is root, and so does this test"
    assert read_cgroup_facts(tmp_path) == CgroupFacts(True, {}, {})
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/tasks").touch()
    assert read_cgroup_facts(tmp_path) == CgroupFacts(True, {"memory": tmp_path / "memory"}, {})
    (tmp_path / "cgroup.subtree_control").write_text("cpuset cpu io memory pids\n", encoding="ascii")
    assert read_cgroup_facts(tmp_path).v2 == dict.fromkeys(("memory", "pids", "cpu"), tmp_path)


def _files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text(encoding="ascii") for path in found}


def test_a_group_of_the_second_version_holds_all_limits(tmp_path: Path) -> None:
    cgroups = Cgroups(Limits(2, dict.fromkeys(("memory", "pids"), tmp_path)), "0")
    assert cgroups.make(NAME, ALLOWED) == [tmp_path / "binder-0" / NAME]
    assert _files(tmp_path / "binder-0") == {
        "cgroup.subtree_control": "+pids",
        f"{NAME}/memory.max": "1073741824",
        f"{NAME}/memory.swap.max": "0",
        f"{NAME}/pids.max": "100",
    }
    (tmp_path / "binder-0" / NAME / "memory.events").write_text("oom 1\noom_kill 1\n", encoding="ascii")
    assert cgroups.ran_out_of_memory(NAME)
    assert not cgroups.ran_out_of_memory("s000000000000000")


def test_what_cannot_be_set_is_the_operators_to_know(tmp_path: Path) -> None:
    (tmp_path / "binder-0").touch()
    with pytest.raises(OperatorFault, match="limits of s234567abcdefghi cannot be set"):
        Cgroups(Limits(1, {"memory": tmp_path}), "0").make(NAME, ALLOWED)


async def test_real_groups_come_and_go() -> None:
    limits = limits_for(read_cgroup_facts())
    assert limits.explanation is None, "this machine cannot limit sessions: run the tests as root"
    cgroups = Cgroups(limits, "test")
    groups = cgroups.make(NAME, ALLOWED)
    assert groups
    assert groups == cgroups.groups_of(NAME)
    assert cgroups.make(NAME, ALLOWED) == groups
    assert not cgroups.ran_out_of_memory(NAME)
    await cgroups.remove(NAME)
    await cgroups.remove(NAME)
    assert not any(group.exists() for group in groups)
    assert not any(group.parent.exists() for group in groups)


def test_a_container_knows_what_it_lost_to_memory(tmp_path: Path) -> None:
    assert processes_lost_to_memory(tmp_path) == 0
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert processes_lost_to_memory(tmp_path) == 2
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n")
    assert processes_lost_to_memory(tmp_path) == 1
