"""helm, with the project's chart: what it renders, and what it installs on a cluster."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from binder.settings import read_settings
from tests.cluster.api import Object
from tests.cluster.programs import build_program

CHART = Path(__file__).parents[2] / "deploy" / "chart"
_SECONDS = 300


class HelmRefused(Exception):
    """helm did not do it; the text is its reason."""


class Helm:
    """helm, built from its Go module; it reaches a cluster where a kubeconfig is given, and its files are `home`'s."""

    def __init__(self, home: Path, kubeconfig: Path | None = None) -> None:
        self._program = build_program(read_settings().cache_dir, "helm")
        self._home = home
        # A kubeconfig of nobody's keeps it from a cluster that it was not given.
        self._kubeconfig = kubeconfig or home / "none"

    def run(self, *arguments: str, values: Mapping[str, object] | None = None) -> str:
        """Run a command of helm's with some values, and return what it printed.

        Raises: HelmRefused.
        """
        env = {"PATH": os.environ["PATH"], "HOME": str(self._home), "KUBECONFIG": str(self._kubeconfig)}
        given = () if values is None else ("--values", "-")
        done = subprocess.run(
            [str(self._program), *arguments, *given],
            input=json.dumps(values),
            env=env,
            capture_output=True,
            check=False,
            text=True,
            timeout=_SECONDS,
        )
        if done.returncode:
            raise HelmRefused(f"{done.stdout}{done.stderr}")
        return done.stdout

    def rendered(self, values: Mapping[str, object], *arguments: str) -> Sequence[Object]:
        """Return the chart's manifests for a release `binder` in a namespace `binder`, hooks and all."""
        text = self.run("template", "binder", str(CHART), "--namespace", "binder", *arguments, values=values)
        return [manifest for manifest in yaml.safe_load_all(text) if manifest]
