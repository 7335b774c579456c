"""The chart, installed by helm with the images of `binder images`: it runs, is upgraded, and leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.given import Cluster, until
from tests.cluster.installed import LITTLE, Installed, release
from tests.cluster.objects import Place, everything, left_behind

# The first time, images are made of nothing: for minutes.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]


@pytest.fixture
def installed(cluster: Cluster, tmp_path: Path) -> Iterator[Installed]:
    with release(cluster, tmp_path, url="http://binder.test") as installed:
        yield installed


def test_a_release_runs_is_upgraded_and_leaves_nothing_behind(cluster: Cluster, installed: Installed) -> None:
    before = everything(cluster.api)

    installed.upgrade()
    assert installed.health()["ok"] is True
    parts = ("proxy", "controller", "database")
    first, password = {part: installed.pods(part) for part in parts}, installed.secret()["data"]
    assert [len(first[part]) for part in parts] == [2, 2, 1]

    assert [asked for asked in _MAY if not _may(installed, asked)] == []
    assert [asked for asked in _MAY_NOT if _may(installed, asked)] == []

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


# A namespace by what is added to the release's own (None: of none), a group of the API, a resource and a verb.
_MAY: list[tuple[str | None, str, str, str]] = [
    ("-sessions", "", "pods", "create"),
    ("-sessions", "coordination.k8s.io", "leases", "update"),
    ("-builds", "batch", "jobs", "create"),
    (None, "", "nodes", "list"),
]
_MAY_NOT: list[tuple[str | None, str, str, str]] = [
    ("", "", "secrets", "get"),
    ("", "", "pods", "create"),
    ("-sessions", "", "secrets", "get"),
    ("-sessions", "", "pods/exec", "create"),
    ("-sessions", "rbac.authorization.k8s.io", "roles", "create"),
    ("-builds", "", "secrets", "list"),
    ("-builds", "", "pods", "create"),
    (None, "", "namespaces", "list"),
    (None, "", "nodes", "delete"),
    (None, "", "pods", "list"),
]


def _may(installed: Installed, asked: tuple[str | None, str, str, str]) -> bool:
    """Whether the controller's account may do something, by the API server's own word."""
    suffix, group, kind, verb = asked
    resource, _, part = kind.partition("/")
    attributes = {"group": group, "resource": resource, "subresource": part, "verb": verb}
    if suffix is not None:
        attributes["namespace"] = f"{installed.name}{suffix}"
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{installed.name}:{installed.name}-controller",
            "resourceAttributes": attributes,
        },
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(installed.namespace.cluster.api.ask("POST", path, review)["status"]["allowed"])


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
    embedded = {"storage": "1Gi", "storageClass": "of-nobody", "whenDeleted": fate, "resources": LITTLE}
    installed.begin(database={"embedded": embedded})
    until(lambda: len(installed.claims()) == 1, "there is no volume")
    installed.uninstall()
    until(lambda: len(installed.claims()) == left, "the volume is not as was said", why=lambda: str(installed.claims()))
    if not left:
        _nothing_is_left(installed, before)
