"""The chart as helm installs it on a cluster, with the images of `binder images`: what tests ask of a release."""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.api import Object
from tests.cluster.given import Cluster, Namespace
from tests.cluster.helm import CHART, Helm
from tests.cluster.own_images import pushed_images

LITTLE = {"requests": {"cpu": "10m"}}
"""What pods ask for where the node has little, and others use it too."""


@dataclass(frozen=True)
class Installed:
    """A release in a namespace of its own, whose name begins those of its other namespaces."""

    helm: Helm
    namespace: Namespace
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.namespace.name

    def begin(self, *arguments: str, **changes: Any) -> None:
        """Install it, or upgrade it."""
        of_it = (self.name, str(CHART), "--namespace", self.name)
        self.helm.run("upgrade", "--install", *of_it, *arguments, values={**self.values, **changes})

    def upgrade(self, **changes: Any) -> None:
        """Install it, or upgrade it, and wait until all of its pods are ready."""
        self.begin("--wait", "--timeout", "240s", **changes)

    def uninstall(self) -> None:
        """Remove it, if it is there."""
        self.helm.run("uninstall", self.name, "--namespace", self.name, "--ignore-not-found", "--wait")

    def claims(self) -> list[str]:
        """Return the names of its volumes."""
        return [claim["metadata"]["name"] for claim in self.namespace.list("persistentvolumeclaims")]

    def pods(self, part: str) -> set[str]:
        """Return the names of a part's pods that do not end."""
        return {
            pod["metadata"]["name"]
            for pod in self.namespace.list("pods")
            if pod["metadata"]["labels"].get("app.kubernetes.io/component") == part
            and "deletionTimestamp" not in pod["metadata"]
        }

    def restarts(self) -> int:
        statuses = [pod["status"]["containerStatuses"] for pod in self.namespace.list("pods")]
        return sum(status["restartCount"] for each in statuses for status in each)

    def secret(self) -> Object:
        """Return the Secret of its database."""
        known = {"metadata": {"name": f"{self.name}-database", "namespace": self.name}}
        return self.namespace.cluster.api.read({"apiVersion": "v1", "kind": "Secret", **known})

    def health(self) -> Any:
        """Return what the service says of itself, asked through its Service."""
        address = self.namespace.cluster.service_address(self.name, self.name)
        with urllib.request.urlopen(f"http://{address}/health", timeout=10) as answer:
            return json.load(answer)


@contextmanager
def release(cluster: Cluster, home: Path, **values: Any) -> Iterator[Installed]:
    """Give a release that is to be installed, with images of this project as it is; it is gone after the block."""
    usual = {
        **pushed_images(cluster.registry),
        "registry": {"repository": f"{cluster.registry}/builds-of-the-installed", "plainHttp": True},
        "database": {"embedded": {"storage": 0, "resources": LITTLE}},
        "proxy": {"notReadySeconds": 1, "drainSeconds": 5, "resources": LITTLE},
        "controller": {"resources": LITTLE},
    }
    with cluster.namespace(pod_security="restricted") as namespace:
        installed = Installed(Helm(home, cluster.kubeconfig), namespace, {**usual, **values})
        try:
            yield installed
        finally:
            # Its other namespaces go with the release alone.
            installed.uninstall()
