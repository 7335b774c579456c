"""Whose the folders are: tried by the accounts that they are for."""

import os
from pathlib import Path

import pytest

from binder.paths import Paths
from binder.process import Account, Command, run


@pytest.fixture
def new_paths(reachable_path: Path, account: Account) -> Paths:
    """Folders of their own, the cache folder too."""
    paths = Paths(reachable_path / "state", reachable_path / "cache")
    paths.make(account)
    return paths


def test_two_services_that_share_a_cache_have_names_of_their_own(tmp_path: Path) -> None:
    one, other = Paths(tmp_path / "one", tmp_path), Paths(tmp_path / "other", tmp_path)
    assert one.instance != other.instance
    assert one.instance == Paths(tmp_path / "x" / ".." / "one", tmp_path).instance


def test_folders_are_made_once_and_kept(new_paths: Paths, account: Account) -> None:
    (new_paths.github / "app.json").write_text("said")
    new_paths.make(account)
    assert (new_paths.github / "app.json").read_text() == "said"


async def test_the_build_account_writes_to_what_is_its_own(new_paths: Paths, account: Account) -> None:
    for folder in (new_paths.engine, new_paths.git, new_paths.packages):
        assert folder.stat().st_mode & 0o777 == 0o700
        done = await run(Command(["touch", str(folder / "x")], account=account), timeout_seconds=10)
        assert done.ok, done.output


async def test_the_build_account_sees_nothing_else(new_paths: Paths, account: Account) -> None:
    if not account.is_other:
        return  # it is us: nothing is hidden from ourselves
    for folder in (
        new_paths.state,
        new_paths.github,
        new_paths.cache,
        new_paths.locks,
        new_paths.tools,
    ):
        assert not (await run(Command(["ls", str(folder)], account=account), timeout_seconds=10)).ok
        done = await run(Command(["touch", str(folder / "x")], account=account), timeout_seconds=10)
        assert not done.ok


def test_nobody_else_reads_the_apps_keys(new_paths: Paths) -> None:
    assert new_paths.github.stat().st_mode & 0o777 == 0o700
    assert new_paths.github.stat().st_uid == os.geteuid()
