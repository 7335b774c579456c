"""Which limits this machine can set, and one control group for each session or build that sets them.

Rootless podman and Buildah cannot set limits of their own under cgroup v1. A service that is root makes a group for
each session and each build, and they are started inside of it: all that they start stays there, because nothing in
there may write to the group.
"""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from binder.errors import OperatorFault

CONTROLLERS = ("memory", "pids", "cpu")
_MEANING = {"memory": "memory", "pids": "the number of processes", "cpu": "their share of the processors"}
_ROOT = Path("/sys/fs/cgroup")
_EMPTYING_SECONDS = 2.0
_POLL_SECONDS = 0.01
_SHARES_OF_ONE_CPU = 1024
_WEIGHT_OF_ONE_CPU = 100


@dataclass(frozen=True)
class Allowance:
    """The most that one session or build may use; `cpus` counts only while others want processors too."""

    memory_bytes: int
    pids: int
    cpus: float


@dataclass(frozen=True)
class CgroupFacts:
    """What this process may do: controller → the folder of its hierarchy in which it can make groups."""

    is_root: bool
    v1: Mapping[str, Path]
    v2: Mapping[str, Path]


@dataclass(frozen=True)
class Limits:
    """How limits are set: controller → the folder to make groups in. `explanation` says what cannot be limited."""

    version: int
    folders: Mapping[str, Path]
    explanation: str | None = None


def limits_for(facts: CgroupFacts) -> Limits:
    """Return the hierarchy that limits the most."""
    version, folders = max(((1, facts.v1), (2, facts.v2)), key=lambda choice: len(choice[1]))
    missing = [_MEANING[controller] for controller in CONTROLLERS if controller not in folders]
    if not missing:
        return Limits(version, folders)
    why = "this machine's control groups do not allow it" if facts.is_root else "only a service that is root can"
    return Limits(version, folders, f"Sessions run without limits on {', '.join(missing)}: {why}.")


def values_for(allowed: Allowance, version: int) -> Mapping[str, Mapping[str, str]]:
    """Return the limits: controller → file → what is written to it.

    Source: https://docs.kernel.org/admin-guide/cgroup-v1/memory.html, …/cgroup-v2.html
    """
    memory, pids = str(allowed.memory_bytes), str(allowed.pids)
    if version == 1:
        shares = max(2, round(allowed.cpus * _SHARES_OF_ONE_CPU))
        return {
            # With swap counted too, or a session could push the host into swapping.
            "memory": {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory},
            "pids": {"pids.max": pids},
            "cpu": {"cpu.shares": str(shares)},
        }
    weight = min(10_000, max(1, round(allowed.cpus * _WEIGHT_OF_ONE_CPU)))
    return {
        "memory": {"memory.max": memory, "memory.swap.max": "0"},
        "pids": {"pids.max": pids},
        "cpu": {"cpu.weight": str(weight)},
    }


def read_cgroup_facts(root: Path = _ROOT) -> CgroupFacts:
    """Look at what the kernel offers."""
    if os.geteuid() != 0:
        return CgroupFacts(is_root=False, v1={}, v2={})
    v1 = {name: root / name for name in CONTROLLERS if _can_make_groups(root / name, "tasks")}
    v2: dict[str, Path] = {}
    if _can_make_groups(root, "cgroup.subtree_control"):
        offered = (root / "cgroup.subtree_control").read_text(encoding="ascii").split()
        v2 = {name: root for name in CONTROLLERS if name in offered}
    return CgroupFacts(is_root=True, v1=v1, v2=v2)


def _can_make_groups(folder: Path, mark: str) -> bool:
    return (folder / mark).exists() and os.access(folder, os.W_OK)


def processes_lost_to_memory(root: Path = _ROOT) -> int:
    """Return how many processes of this process's own container the kernel has ended for want of memory."""
    for file in (root / "memory.events", root / "memory/memory.oom_control"):
        with suppress(OSError):
            counts = dict(line.split() for line in file.read_text(encoding="ascii").splitlines())
            return int(counts.get("oom_kill", "0"))
    return 0


class Cgroups:
    """The control groups of what one service runs: its sessions (`below`: its instance), or its builds."""

    def __init__(self, limits: Limits, below: str) -> None:
        self.limits = limits
        self._below = f"binder-{below}"

    def groups_of(self, name: str) -> list[Path]:
        """Return the folders of a session's groups, whether or not they are there."""
        return sorted({folder / self._below / name for folder in self.limits.folders.values()})

    def names(self) -> set[str]:
        """Return the names that have a group."""
        groups = (group for folder in self.limits.folders.values() for group in (folder / self._below).glob("*"))
        return {group.name for group in groups if group.is_dir()}

    def make(self, name: str, allowed: Allowance) -> list[Path]:
        """Make the groups of that name, set their limits, and return their folders.

        Raises: OperatorFault.
        """
        try:
            for controller, files in values_for(allowed, self.limits.version).items():
                if controller in self.limits.folders:
                    self._make_one(controller, name, files)
        except OSError as error:
            raise OperatorFault(f"The limits of {name} cannot be set: {error}") from error
        return self.groups_of(name)

    def _make_one(self, controller: str, name: str, files: Mapping[str, str]) -> None:
        parent = self.limits.folders[controller] / self._below
        group = parent / name
        group.mkdir(parents=True, exist_ok=True)
        if self.limits.version == 2:
            (parent / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")
        for file, value in files.items():
            with suppress(FileNotFoundError):  # a kernel that does not count swap has no file for it
                (group / file).write_text(value, encoding="ascii")

    def ran_out_of_memory(self, name: str) -> bool:
        """Whether the kernel ended a process of the group because of its limit."""
        file = "memory.oom_control" if self.limits.version == 1 else "memory.events"
        folder = self.limits.folders.get("memory", _ROOT)
        with suppress(OSError):
            text = (folder / self._below / name / file).read_text(encoding="ascii")
            counts = dict(line.split() for line in text.splitlines())
            return int(counts.get("oom_kill", "0")) > 0
        return False

    async def remove(self, name: str) -> None:
        """Remove the groups of that name, and end whatever is still in them."""
        for group in self.groups_of(name):
            await _remove_group(group)
            with suppress(OSError):  # other sessions have theirs in there
                group.parent.rmdir()


async def _remove_group(group: Path) -> None:
    for _ in range(round(_EMPTYING_SECONDS / _POLL_SECONDS)):
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # busy: something has yet to end
            _end_all_in(group)
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return


def _end_all_in(group: Path) -> None:
    with suppress(OSError):
        for line in (group / "cgroup.procs").read_text(encoding="ascii").split():
            with suppress(ProcessLookupError):
                os.kill(int(line), signal.SIGKILL)
