"""helm, with the project's chart: what it renders, and what it installs on a cluster.

`python -m tests.cluster.helm` writes the chart as plain manifests.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from binder.settings import read_settings
from tests.cluster.api import Object
from tests.cluster.programs import build_program

CHART = Path(__file__).parents[2] / "deploy" / "chart"
_SECONDS = 300
_PLAIN = "binder"
_OWN_NAMESPACE = f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {_PLAIN}\n"


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
        """Return the chart's manifests for a release `binder` in a namespace `binder`."""
        text = self.run("template", _PLAIN, str(CHART), "--namespace", _PLAIN, *arguments, values=values)
        return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def main() -> None:
    """Write the chart as plain manifests to `dist/manifests.yaml`; the arguments are helm's (`--values mine.yaml`).

    They are for a release `binder` in a namespace `binder`, which is among them.
    """
    with tempfile.TemporaryDirectory() as home:
        helm = Helm(Path(home))
        command = ("template", _PLAIN, str(CHART), "--namespace", _PLAIN, *sys.argv[1:])
        try:
            once, again = helm.run(*command), helm.run(*command)
        except HelmRefused as refused:
            sys.exit(str(refused))
    if once != again:
        sys.exit("Each rendering would have another password: say database.embedded.password, or a database of yours.")
    place = CHART.parents[1] / "dist" / "manifests.yaml"
    place.parent.mkdir(exist_ok=True)
    place.write_text(f"{_OWN_NAMESPACE}{once}", encoding="utf-8")
    print(place)


if __name__ == "__main__":
    main()
