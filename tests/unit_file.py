"""The systemd unit, read strictly, and its bounds laid around a command where no systemd runs."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

UNIT: Final = Path(__file__).resolve().parents[1] / "deploy" / "binder.service"
_READ_ONLY: Final = {"ProtectSystem": ("/usr", "/boot", "/etc"), "ProtectHome": ("/home", "/root")}
_LAY: Final = """
set -eu
mount --make-rslave / 2>/dev/null || true
for place in $1; do
    if [ -d "$place" ]; then mount --bind "$place" "$place"; mount -o remount,bind,ro "$place"; fi
done
bounds=$2
shift 2
exec setpriv --bounding-set "$bounds" -- "$@"
"""


def directives(path: Path = UNIT) -> Mapping[tuple[str, str], Sequence[str]]:
    """Return what a unit says: (section, name) → values, in order."""
    found: dict[tuple[str, str], list[str]] = {}
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert section, line
            assert equals, line
            assert name.isalpha(), line
            found.setdefault((section, name), []).append(value)
    return found


def bounded_as_the_unit_is(*argv: str) -> Sequence[str]:
    """Return a command within the unit's capabilities and read-only places, where it is root's to bound it.

    What systemd does by filters of system calls (address families, real time, personalities) is left out.
    """
    if os.geteuid() != 0:
        return argv
    said = directives()
    places = [place for name, places in _READ_ONLY.items() if ("Service", name) in said for place in places]
    capabilities = " ".join(said["Service", "CapabilityBoundingSet"]).lower().split()
    bounds = ",".join(["-all", *(f"+{one.removeprefix('cap_')}" for one in capabilities)])
    return ("unshare", "--mount", "sh", "-c", _LAY, "sh", " ".join(places), bounds, *argv)
