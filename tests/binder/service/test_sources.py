"""Where git is sent, and where it is not: with a real git, and a real server on the loopback address."""

from pathlib import Path

import pytest

from binder.errors import VisitorFault
from binder.paths import Paths
from binder.process import Account
from binder.service.sources import PublicRefs, RepositorySources
from binder.settings import Settings, read_settings
from binder.store.tables import Repository
from build.commits.git import Git
from tests.build.git_servers import git_server


@pytest.fixture
def git(reachable_path: Path, account: Account) -> Git:
    """A git with folders of its own."""
    paths = Paths(reachable_path / "state", reachable_path / "cache")
    paths.make(account)
    return Git(paths, account, None, timeout_seconds=60)


def row(clone_url: str) -> Repository:
    """Return the row of a repository."""
    return Repository(host="git.example", owner="ada", name="x", clone_url=clone_url)


async def test_a_private_host_is_asked_only_if_the_operator_names_it(
    git: Git, reachable_path: Path, account: Account
) -> None:
    with git_server(reachable_path / "served", account) as server:
        server.root.mkdir()
        sha = server.repository("ada/x").commit({"a.ipynb": "{}"})
        url = f"{server.origin}/ada/x.git"
        with pytest.raises(VisitorFault, match="not the name of a public host"):
            await PublicRefs(git, read_settings()).resolve(url, "HEAD")
        assert server.requests == []
        for named in (
            read_settings(git_hosts=server.origin.partition("://")[2]),
            read_settings(gitlab_url=server.origin),
            read_settings(github_url=server.origin),
        ):
            assert await PublicRefs(git, named).resolve(url, "HEAD") == sha
            assert (await RepositorySources(None, named).source_of(row(url))).addresses == ()
        assert await PublicRefs(git, read_settings(gitlab_url=server.origin)).resolve(url, "nope") is None
        # A host is not named by what its name begins with.
        near = read_settings(github_url=f"{server.origin}0", gitlab_url=server.origin[:-1])
        with pytest.raises(VisitorFault):
            await PublicRefs(git, near).resolve(url, "HEAD")


@pytest.fixture
def settings() -> Settings:
    """Settings that name no host but the usual ones."""
    return read_settings()


async def test_a_build_goes_to_no_private_host_either(settings: Settings) -> None:
    with pytest.raises(VisitorFault):
        await RepositorySources(None, settings).source_of(row("http://127.0.0.1:1/ada/x.git"))
    source = await RepositorySources(None, settings).source_of(row("https://93.184.216.34/ada/x.git"))
    assert source.addresses == ("93.184.216.34",)
    assert (await RepositorySources(None, settings).source_of(row("https://github.com/ada/x.git"))).addresses == ()


async def test_what_binder_preview_stored_is_a_folder(settings: Settings) -> None:
    assert (await RepositorySources(None, settings).source_of(row("file:///home/x"))).local
