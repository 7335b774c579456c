"""What a shell completes: names that are cheap to find. Whatever is in the way, nothing is completed."""

import os
from pathlib import Path

import modules


def complete_modules(incomplete: str) -> list[str]:
    """Return the modules that begin so, by the folders that there are."""
    named = os.environ.get("BINDER_MODULES", "").split(",")
    folders = [Path(modules.__file__).parent, *(Path(one.strip()) for one in named if one.strip().startswith("/"))]
    names = {file.parent.parent.name for folder in folders for file in folder.glob("*/*/module.yml")}
    return sorted(name for name in names if name.startswith(incomplete))


def complete_sessions(incomplete: str) -> list[str]:
    """Return the ids of live sessions of this machine's store that begin so; no other service is asked."""
    from binder.cli.quick import quick_list  # noqa: PLC0415

    try:
        rows = quick_list("sessions", limit=200) or []
    except Exception:  # noqa: BLE001 - a shell that completes shows no faults
        return []
    return [str(row["session"]) for row in rows if str(row["session"]).startswith(incomplete)]
