"""An operator's modules: of folders and of git, fetched once, and refused with file and line."""

from pathlib import Path

import pytest

from binder.errors import OperatorFault
from binder.paths import Paths
from binder.process import Account
from binder.service.builder import wired_git
from binder.service.modules import kept_folders, operators_catalogue
from binder.settings import read_settings
from build.commits.git import Git
from modules.beginning import new_module
from modules.catalogue import Catalogue, built_in
from tests.build.git_servers import git_server
from tests.modules.samples import files_with
from tests.modules.test_checking import written


@pytest.fixture
def own_paths(reachable_path: Path, account: Account) -> Paths:
    paths = Paths(reachable_path / "state", reachable_path / "cache")
    paths.make(account)
    return paths


@pytest.fixture
def git(own_paths: Paths, account: Account) -> Git:
    return wired_git(read_settings(), own_paths, account, None)


async def _catalogue(paths: Paths, git: Git, *modules: str) -> Catalogue:
    return await operators_catalogue(read_settings(modules=",".join(modules)), paths, git)


async def test_without_any_there_are_binders_own(own_paths: Paths, git: Git) -> None:
    assert await _catalogue(own_paths, git) == built_in()


@pytest.mark.parametrize("below", ["", "modules/"])
async def test_a_repository_is_fetched_once(
    below: str, own_paths: Paths, git: Git, reachable_path: Path, account: Account, tmp_path: Path
) -> None:
    with git_server(reachable_path, account) as server:
        repository = server.repository("team/modules")
        files = {f"{below}mailbox/1.0/{path}": data for path, data in new_module("mailbox", "1.0").items()}
        sha = repository.commit({**files, "README.md": "x", "tools/check/run.sh": "x"})
        address = f"{server.origin}/team/modules.git@{sha}"
        catalogue = await _catalogue(
            own_paths, git, str(written(tmp_path / "m" / "box/2", new_module("box", "2")).parents[1]), address
        )
        found = catalogue.find("mailbox", "1.0")
        assert found
        assert (found.origin, dict(found.files)) == (address, dict(new_module("mailbox", "1.0")))
        assert catalogue.find("box", "2")
        server.requests.clear()
        assert (await _catalogue(own_paths, git, address)).find("mailbox", "1.0") == found
        assert server.requests == []
    assert (await _catalogue(own_paths, git, address)).find("mailbox", "1.0") == found  # the server has gone
    ((folder, name),) = kept_folders(read_settings(modules=address), own_paths)
    assert (folder / "mailbox/1.0/module.yml").exists()
    assert name == address


async def test_what_is_wrong_in_it_is_the_operators_fault(
    own_paths: Paths, git: Git, reachable_path: Path, account: Account
) -> None:
    with git_server(reachable_path, account) as server:
        repository = server.repository("team/modules")
        wrong = files_with(definition=("{server: 1}", "{sever: 1}"))
        sha = repository.commit({f"postgres/15/{path}": data for path, data in wrong.items()})
        address = f"{server.origin}/team/modules.git"
        with pytest.raises(OperatorFault, match=r"module\.yml line 16: .* does not know `sever`"):
            await _catalogue(own_paths, git, f"{address}@{sha}")
        with pytest.raises(OperatorFault, match="BINDER_MODULES"):
            await _catalogue(own_paths, git, f"{address}@{'0' * 40}")


@pytest.mark.parametrize(
    "modules", ["modules", "https://git.example/m.git", "https://git.example/m.git@main", "ssh://a@b"]
)
def test_a_setting_that_is_neither_is_refused(modules: str) -> None:
    with pytest.raises(OperatorFault, match="BINDER_MODULES"):
        read_settings(modules=modules)
