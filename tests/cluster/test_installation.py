"""The chart, installed by helm with the images of `binder images`: it runs, is upgraded, and leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.given import Cluster, until
from tests.cluster.installed import Installed, release
from tests.cluster.objects import everything, left_behind

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

    installed.helm.run("uninstall", installed.name, "--namespace", installed.name, "--wait", "--timeout", "120s")

    def left() -> list[Any]:
        return left_behind(before, everything(cluster.api), ours=installed.name)

    until(lambda: not left(), "something is left", why=lambda: str(left()), seconds=90)
