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
    embedded = {"storage": "1Gi", "storageClass": "of-nobody", "whenDeleted": fate, "resources": LITTLE}
    installed.begin(database={"embedded": embedded})
    until(lambda: len(installed.claims()) == 1, "there is no volume")
    installed.uninstall()
    until(lambda: len(installed.claims()) == left, "the volume is not as was said", why=lambda: str(installed.claims()))
    if not left:
        _nothing_is_left(installed, before)
