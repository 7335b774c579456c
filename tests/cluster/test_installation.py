"""The chart, installed by helm with the images of `binder images`: it runs, is upgraded, and leaves nothing behind."""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import Object
from tests.cluster.given import Cluster, Namespace, until
from tests.cluster.helm import CHART, Helm
from tests.cluster.objects import Place, everything, left_behind
from tests.cluster.own_images import pushed_images

# The first time, images are made of nothing: for minutes.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

_LITTLE = {"requests": {"cpu": "10m"}}


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


@pytest.fixture(scope="module")
def images(cluster: Cluster) -> Mapping[str, Any]:
    return pushed_images(cluster.registry)


@pytest.fixture
def installed(cluster: Cluster, images: Mapping[str, Any], tmp_path: Path) -> Iterator[Installed]:
    with cluster.namespace(pod_security="restricted") as namespace:
        values = {
            **images,
            "url": "http://binder.test",
            "registry": {"repository": f"{cluster.registry}/builds-of-the-installed", "plainHttp": True},
            "database": {"embedded": {"storage": 0, "resources": _LITTLE}},
            "proxy": {"notReadySeconds": 1, "drainSeconds": 5, "resources": _LITTLE},
            "controller": {"resources": _LITTLE},
        }
        installed = Installed(Helm(tmp_path, cluster.kubeconfig), namespace, values)
        yield installed
        installed.uninstall()


def test_a_release_runs_is_upgraded_and_leaves_nothing_behind(cluster: Cluster, installed: Installed) -> None:
    before = everything(cluster.api)

    installed.upgrade()
    assert installed.health()["ok"] is True
    parts = ("proxy", "controller", "database")
    first, password = {part: installed.pods(part) for part in parts}, installed.secret()["data"]
    assert [len(first[part]) for part in parts] == [2, 2, 1]

    installed.upgrade()
    assert {part: installed.pods(part) for part in parts} == first  # nothing changed

    installed.upgrade(settings={"session_idle_seconds": 900})
    assert not installed.pods("proxy") & first["proxy"]
    assert not installed.pods("controller") & first["controller"]
    assert installed.pods("database") == first["database"]
    assert installed.secret()["data"] == password
    assert installed.health()["ok"] is True
    assert installed.restarts() == 0

    installed.uninstall()
    _nothing_is_left(installed, before)


def _nothing_is_left(installed: Installed, before: set[Place]) -> None:
    api = installed.namespace.cluster.api

    def left() -> list[Place]:
        return left_behind(before, everything(api), ours=installed.name)

    until(lambda: not left(), "something is left", why=lambda: str(left()), seconds=90)


@pytest.mark.parametrize(("fate", "left"), [("Delete", 0), ("Retain", 1)])
def test_the_volume_of_the_database_goes_with_the_release_unless_it_is_to_stay(
    installed: Installed, fate: str, left: int
) -> None:
    before = everything(installed.namespace.cluster.api)
    # No class of volumes is of that name: what is asked for waits for ever, and that is enough to see.
    embedded = {"storage": "1Gi", "storageClass": "of-nobody", "whenDeleted": fate, "resources": _LITTLE}
    installed.begin(database={"embedded": embedded})
    until(lambda: len(installed.claims()) == 1, "there is no volume")
    installed.uninstall()
    until(lambda: len(installed.claims()) == left, "the volume is not as was said", why=lambda: str(installed.claims()))
    if not left:
        _nothing_is_left(installed, before)
