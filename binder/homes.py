"""Where a service's folders are where no setting says so; by itself, for those who read no settings."""

import os
from pathlib import Path
from typing import Literal


def default_home(kind: Literal["state", "cache"]) -> Path:
    """Root's service keeps to the system's folders, anybody else's to their own (FHS 3.0; XDG Base Directory)."""
    if os.geteuid() == 0:
        return Path("/var/lib/binder") if kind == "state" else Path("/var/cache/binder")
    variable, below = ("XDG_STATE_HOME", ".local/state") if kind == "state" else ("XDG_CACHE_HOME", ".cache")
    return Path(os.environ.get(variable) or Path.home() / below) / "binder"
