"""A cluster on this machine, from outside: started, asked for, ended.

Owns its folder, and one process that waits for one child: init of a namespace of processes. When init is killed, the
kernel kills all that the cluster started, and with the last of them go their mounts. What is left then is one end of a
wire, empty control groups, and files.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tests.cluster.layout import CGROUP, HIDDEN, LINK, Folder
from tests.cluster.programs import alone, build_programs
from tests.cluster.reasons import CannotRun, last_words

_START_SECONDS = 240
_STOP_SECONDS = 30
_POLL_SECONDS = 0.1
_ROOT = Path(__file__).parents[2]
_LINK = Path("/sys/class/net", LINK)
_CGROUPS = Path("/sys/fs/cgroup")
_TOOLS = {
    "containerd": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
    "nft": "nftables",
    "iptables": "iptables",
    "ipset": "ipset",
    "slirp4netns": "slirp4netns",
    "catatonit": "catatonit",
    "ip": "iproute2",
    "/bin/busybox": "busybox-static",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}
"""What must be installed: program → Debian's package."""
_NAMESPACES = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "--propagation", "private", "--mount-proc")


_started: list["subprocess.Popen[bytes]"] = []
"""Children of this process, which are to be waited for if the cluster ends before it does."""


def cluster_up(cache: Path) -> Path:
    """Return the kubeconfig of a cluster that runs; one is started where there is none, and outlives us.

    Raises: CannotRun.
    """
    folder = _folder_in(cache)
    with alone(cache / "cluster/starting"):
        if _owner_of(folder) and folder.ready.exists():
            return folder.kubeconfig
        _look_whether_it_can_run(cache)
        _end(folder)
        _clean_up(folder)
        if _LINK.exists():
            raise CannotRun(f"There is a network link {LINK}: another cluster of these tests runs on this machine.")
        programs = {name: str(path) for name, path in build_programs(cache).items()}
        folder.logs.mkdir(parents=True)
        _start(folder, json.dumps(programs))
        return folder.kubeconfig


def is_up(cache: Path) -> bool:
    """Whether a cluster runs."""
    return _owner_of(_folder_in(cache)) is not None


def cluster_down(cache: Path) -> None:
    """End the cluster, if there is one, and remove all that there is of it.

    Raises: CannotRun, where something of it does not go.
    """
    folder = _folder_in(cache)
    with alone(cache / "cluster/starting"):
        _end(folder)
        _clean_up(folder)


@contextmanager
def halted(cache: Path, program: str) -> Iterator[None]:
    """Have one of the node's programs do nothing while the block runs.

    Raises: CannotRun, where it does not run here.
    """
    owner = _owner_of(_folder_in(cache))
    found = [pid for pid in _descendants_of(owner) if _program_of(pid) == program] if owner else []
    if len(found) != 1:
        raise CannotRun(f"No one {program} of a cluster of this machine can be halted: {len(found)} run here.")
    os.kill(found[0], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(found[0], signal.SIGCONT)


def _descendants_of(pid: int) -> list[int]:
    return [below for child in _children_of(pid) for below in (child, *_descendants_of(child))]


def _program_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode().rpartition("/")[2]
    return ""


def _folder_in(cache: Path) -> Folder:
    return Folder(cache / "cluster/node")


def _look_whether_it_can_run(cache: Path) -> None:
    """Say what is missing for a kubelet: only root can make mounts, networks and control groups for others."""
    for place in (cache, _ROOT, Path(sys.prefix)):
        if any(place.resolve().is_relative_to(hidden) for hidden in HIDDEN):
            raise CannotRun(f"{place} is in a folder of which the node has one of its own. Move it.")
    if os.geteuid() != 0:
        raise CannotRun("A kubelet needs root. Run this as root, or name a cluster in KUBECONFIG.")
    missing = sorted({package for tool, package in _TOOLS.items() if not shutil.which(tool)})
    if missing:
        raise CannotRun(f"These packages are not installed: {' '.join(missing)}. Run `make test-cluster`.")
    if "\toverlay\n" not in Path("/proc/filesystems").read_text(encoding="ascii"):
        raise CannotRun("This kernel has no overlayfs, on which containerd lays images.")
    if not _writable_hierarchies():
        raise CannotRun(f"No control groups can be made in {_CGROUPS}, with which a kubelet limits pods.")


def _start(folder: Folder, programs: str) -> None:
    for hierarchy in _writable_hierarchies():
        (hierarchy / CGROUP).mkdir(exist_ok=True)
    argv = [*_NAMESPACES, "catatonit", "--", sys.executable, "-m", "tests.cluster.node", str(folder.root), programs]
    with (folder.logs / "node.log").open("wb") as log:
        null = subprocess.DEVNULL
        outer = subprocess.Popen(argv, cwd=_ROOT, stdin=null, stdout=log, stderr=log, start_new_session=True)
    folder.owner.write_text(f"{outer.pid} {_start_time_of(outer.pid)}")
    _started.append(outer)
    try:
        _wait_until_ready(folder, outer)
    except BaseException:
        _end(folder)
        raise


def _wait_until_ready(folder: Folder, outer: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not folder.ready.exists():
        if outer.poll() is not None:
            said = folder.reason if folder.reason.exists() else folder.logs / "node.log"
            raise CannotRun(f"The cluster does not run here. {last_words(said.read_bytes(), lines=12)}")
        if time.monotonic() > deadline:
            raise CannotRun(f"The cluster did not start within {_START_SECONDS} s; see the logs in {folder.logs}.")
        time.sleep(_POLL_SECONDS)


def _owner_of(folder: Folder) -> int | None:
    """Return the process that waits for a cluster, None where it is gone: another one may have its number by now."""
    with suppress(OSError, ValueError):
        pid, start_time = folder.owner.read_text(encoding="ascii").split()
        if _start_time_of(int(pid)) == start_time:
            return int(pid)
    return None


def _children_of(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return []


def _start_time_of(pid: int) -> str:
    """Return when a process was started, in ticks since the machine was.

    Raises: ValueError, where it has ended and only waits for its parent; OSError.
    """
    state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    if state == "Z":
        raise ValueError("it has ended")
    return fields[18]


def _end(folder: Folder) -> None:
    if (outer := _owner_of(folder)) is not None:
        # It ends once its child has: init of the namespace, which ends after all others.
        for pid in _children_of(outer) or [outer]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    while _started:
        _started.pop().wait(_STOP_SECONDS)
    _until(lambda: _owner_of(folder) is None, "its processes do not end")
    if _LINK.exists() and _is_of(folder):
        # The kernel keeps the network for a minute or two more, until connections that broke off are given up.
        subprocess.run(("ip", "link", "delete", LINK), capture_output=True, check=False, timeout=_STOP_SECONDS)
        _until(lambda: not _LINK.exists(), f"the network link {LINK} does not go")


def _is_of(folder: Folder) -> bool:
    """Whether the link that is there is that of the cluster in `folder`: it is named for it (`tests.cluster.node`)."""
    return (_LINK / "ifalias").read_text(encoding="utf-8").strip() == str(folder.root)


def _clean_up(folder: Folder) -> None:
    """Remove what a cluster that has ended leaves: control groups without processes, and files."""
    if not _LINK.exists():  # else the groups are another cluster's
        for hierarchy in _writable_hierarchies():
            _until(partial(_remove_groups, hierarchy / CGROUP), f"control groups in {hierarchy} do not go")
    if folder.root.exists():
        shutil.rmtree(folder.root)


def _remove_groups(group: Path) -> bool:
    """Remove a control group with those in it, and return whether it is gone."""
    if not group.exists():
        return True
    below = [_remove_groups(path) for path in group.iterdir() if path.is_dir()]
    with suppress(OSError):  # the kernel lets go of a group a moment after its last process
        if all(below):
            group.rmdir()
    return not group.exists()


def _writable_hierarchies() -> list[Path]:
    """Return the roots of the hierarchies of control groups: one with version 2, several with version 1."""
    roots = [_CGROUPS] if (_CGROUPS / "cgroup.controllers").exists() else [*_CGROUPS.iterdir()]
    return [root for root in roots if (root / "cgroup.procs").exists() and os.access(root, os.W_OK)]


def _until(is_so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise CannotRun(f"The cluster is not gone after {_STOP_SECONDS} s: {otherwise}.")
        time.sleep(_POLL_SECONDS)
