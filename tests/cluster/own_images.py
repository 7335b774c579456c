"""Our own images, made by `binder images` and brought into the cluster's registry, once for each state of us."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import yaml

_SECONDS = 1200.0


def pushed_images(registry: str) -> Mapping[str, Any]:
    """Return values of the chart that name our images in a registry, which speaks plain HTTP."""
    argv = [sys.executable, "-m", "binder", "images", "--push", f"{registry}/own"]
    env = os.environ | {"BINDER_REGISTRY_PLAIN_HTTP": "true"}
    done = subprocess.run(argv, env=env, capture_output=True, check=False, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    values: Mapping[str, Any] = yaml.safe_load(done.stdout)
    return values
