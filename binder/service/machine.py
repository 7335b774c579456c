"""What a machine must have before a part of the service runs on it: looked at once, decided purely, said together."""

import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from binder.errors import OperatorFault
from binder.process import Account
from binder.service.parts import EngineName, Part
from binder.settings import Settings

_TOOLS = {
    "buildah": "buildah",
    "podman": "podman",
    "runc": "runc",
    "newuidmap": "uidmap",
    "mmdebstrap": "mmdebstrap",
    "haproxy": "haproxy",
    "slirp4netns": "slirp4netns",
    "git": "git",
    "git-lfs": "git-lfs",
    "setpriv": "util-linux",
}
_OF_PROXY = frozenset({"haproxy", "git", "setpriv"})
_OF_BUILDS = frozenset({"buildah", "runc", "newuidmap", "mmdebstrap", "git", "git-lfs", "setpriv"})
_OF_FETCHING = frozenset({"git", "git-lfs", "setpriv"})
_LEAST_FREE_BYTES = 2 * 2**30
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Needs:
    """What a part of the service needs: programs, and whether images are made here, and containers run here."""

    tools: frozenset[str]
    makes_images: bool
    runs_containers: bool


@dataclass(frozen=True)
class MachineFacts:
    """What was found: the tools that are missing, the build account's subordinate ids, the tunnel device, the disk.

    `closed`: name of a setting → the folder above what it names that the account cannot pass through.
    """

    missing_tools: Sequence[str]
    account: str
    has_subordinate_ids: bool
    tunnel_usable: bool
    free_bytes: int
    cache: Path
    closed: Mapping[str, Path] = field(default_factory=dict)


def needs_of(part: Part, engine: EngineName, *, builds_here: bool = True) -> Needs:
    """Return what a part needs of its machine; `builds_here`: builds are not Jobs of a cluster. Pure."""
    if engine == "podman":
        return Needs(frozenset(_TOOLS), makes_images=True, runs_containers=True)
    of_builds = _OF_BUILDS if builds_here else _OF_FETCHING
    tools = {"all": _OF_PROXY | of_builds, "proxy": _OF_PROXY, "controller": of_builds}[part]
    return Needs(tools, makes_images=builds_here and part != "proxy", runs_containers=False)


def complaints_about(facts: MachineFacts, needs: Needs) -> list[str]:
    """Return what is in the way of a service on this machine, a sentence each with what mends it. Pure."""
    complaints = [
        f"{tool} is not installed. `make set-up` installs it (Debian's package {_TOOLS[tool]})."
        for tool in facts.missing_tools
        if tool in needs.tools
    ]
    if needs.makes_images and not facts.has_subordinate_ids:
        complaints.append(
            f"The account {facts.account} has no subordinate ids in /etc/subuid and /etc/subgid, of which images are "
            "made. `make set-up` gives it some."
        )
    if needs.runs_containers and not facts.tunnel_usable:
        complaints.append(
            "/dev/net/tun cannot be opened by everybody, so that containers have no network. `make set-up` mends it "
            "(chmod 666, the distribution's default)."
        )
    complaints += [
        f"The account {facts.account}, which runs builds and HAProxy, cannot pass through {folder}, in which {setting} "
        f"is. Set {setting} to a folder elsewhere, as below /var/lib or /srv, or let it pass: chmod o+x {folder}."
        for setting, folder in facts.closed.items()
    ]
    if needs.makes_images and facts.free_bytes < _LEAST_FREE_BYTES:
        free, least = facts.free_bytes / 2**30, _LEAST_FREE_BYTES / 2**30
        complaints.append(
            f"The disk is full: {facts.cache} has {free:.1f} GiB left and images need {least:.0f} GiB at least. "
            "Free some space, or set BINDER_CACHE_DIR to a larger disk."
        )
    return complaints


def look_at_machine(account: Account, settings: Settings) -> MachineFacts:
    """Find out what this machine has."""
    cache = settings.cache_dir
    folders = {"BINDER_STATE_DIR": settings.state_dir, "BINDER_CACHE_DIR": cache}
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    return MachineFacts(
        missing_tools=[tool for tool in _TOOLS if shutil.which(tool, path=_SYSTEM_PATH) is None],
        account=account.name,
        has_subordinate_ids=all(_names(Path(file), account) for file in ("/etc/subuid", "/etc/subgid")),
        tunnel_usable=_everybody_may_use(Path("/dev/net/tun")),
        free_bytes=shutil.disk_usage(existing).free,
        cache=cache,
        closed={name: folder for name, path in folders.items() if (folder := _closed_above(path, account))},
    )


def _closed_above(path: Path, account: Account) -> Path | None:
    """Return the first folder above a path that an account other than ours cannot pass through, if there is one."""
    if not account.is_other:
        return None
    return next((one for one in reversed(path.parents) if one.exists() and not _passes(account, one.stat())), None)


def _passes(account: Account, folder: os.stat_result) -> bool:
    if folder.st_uid == account.uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    return bool(folder.st_mode & (stat.S_IXGRP if folder.st_gid == account.gid else stat.S_IXOTH))


def _names(file: Path, account: Account) -> bool:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(line.split(":")[0] in {account.name, str(account.uid)} for line in lines)


def _everybody_may_use(device: Path) -> bool:
    try:
        return device.stat().st_mode & 0o006 == 0o006
    except OSError:
        return False


def check_machine(account: Account, settings: Settings, needs: Needs) -> None:
    """Raise OperatorFault with everything that is in the way."""
    if complaints := complaints_about(look_at_machine(account, settings), needs):
        raise OperatorFault(" ".join(complaints))
