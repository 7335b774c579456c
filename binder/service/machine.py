"""What this machine must have before a service can run on it: looked at once, decided purely, said all together."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from binder.errors import OperatorFault
from binder.process import Account

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
_LEAST_FREE_BYTES = 2 * 2**30
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class MachineFacts:
    """What was found: the tools that are missing, the build account's subordinate ids, the tunnel device, the disk."""

    missing_tools: Sequence[str]
    account: str
    has_subordinate_ids: bool
    tunnel_usable: bool
    free_bytes: int
    cache: Path


def complaints_about(facts: MachineFacts) -> list[str]:
    """Return what is in the way of a service on this machine, a sentence each with what mends it."""
    complaints = [
        f"{tool} is not installed. `make set-up` installs it (Debian's package {_TOOLS[tool]})."
        for tool in facts.missing_tools
    ]
    if not facts.has_subordinate_ids:
        complaints.append(
            f"The account {facts.account} has no subordinate ids in /etc/subuid and /etc/subgid, of which images are "
            "made. `make set-up` gives it some."
        )
    if not facts.tunnel_usable:
        complaints.append(
            "/dev/net/tun cannot be opened by everybody, so that containers have no network. `make set-up` mends it "
            "(chmod 666, the distribution's default)."
        )
    if facts.free_bytes < _LEAST_FREE_BYTES:
        free, least = facts.free_bytes / 2**30, _LEAST_FREE_BYTES / 2**30
        complaints.append(
            f"The disk is full: {facts.cache} has {free:.1f} GiB left and images need {least:.0f} GiB at least. "
            "Free some space, or set BINDER_CACHE_DIR to a larger disk."
        )
    return complaints


def look_at_machine(account: Account, cache: Path) -> MachineFacts:
    """Find out what this machine has."""
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    return MachineFacts(
        missing_tools=[tool for tool in _TOOLS if shutil.which(tool, path=_SYSTEM_PATH) is None],
        account=account.name,
        has_subordinate_ids=all(_names(Path(file), account) for file in ("/etc/subuid", "/etc/subgid")),
        tunnel_usable=_everybody_may_use(Path("/dev/net/tun")),
        free_bytes=shutil.disk_usage(existing).free,
        cache=cache,
    )


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


def check_machine(account: Account, cache: Path) -> None:
    """Raise OperatorFault with everything that is in the way."""
    if complaints := complaints_about(look_at_machine(account, cache)):
        raise OperatorFault(" ".join(complaints))
