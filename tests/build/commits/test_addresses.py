"""Which hosts are public, and that git goes to the address that was looked at, and nowhere else."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from binder.errors import BinderError, VisitorFault
from binder.paths import Paths
from binder.process import Account
from build.commits.addresses import is_public, public_addresses
from build.commits.git import Git, Source
from tests.build.git_servers import git_server


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_what_anybody_may_ask_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),  # noqa: S104
        *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:10.0.0.1"),
        *("64:ff9b::a00:1", "2002:a00:1::1", "2001:0:a00:1::1"),
    ],
)
def test_all_others_are_not(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "nowhere.invalid", "a" * 64 + ".example"]
)
async def test_a_host_that_is_not_public_is_refused_as_one_that_is_not_there(host: str) -> None:
    with pytest.raises(VisitorFault, match="is not the name of a public host"):
        await public_addresses(f"https://{host}/x")


async def test_an_address_is_given_as_git_takes_it() -> None:
    assert await public_addresses("https://93.184.216.34/x") == ("93.184.216.34",)


class TestGit:
    @pytest.fixture
    def git(self, reachable_path: Path, account: Account) -> Git:
        paths = Paths(reachable_path / "state", reachable_path / "cache")
        paths.make(account)
        return Git(paths, account, None, timeout_seconds=60)

    async def test_it_goes_to_the_address_that_was_looked_at(
        self, git: Git, reachable_path: Path, account: Account
    ) -> None:
        """No name server knows the host: whoever reaches it was told where it is."""
        with git_server(reachable_path / "served", account) as server:
            server.root.mkdir()
            repository = server.repository("ada/x")
            sha = repository.commit({"a.ipynb": "{}"})
            port = server.origin.rpartition(":")[2]
            url = f"http://git.invalid:{port}/ada/x.git"
            source = Source(url, trusted=False, addresses=("127.0.0.1",))
            assert await git.resolve(source, "HEAD") == sha
            assert set((await git.fetch(source, sha)).files) == {"a.ipynb"}
            with pytest.raises(BinderError):
                await git.resolve(Source(url), "HEAD")

    async def test_a_strangers_submodule_leads_to_no_private_host(
        self, git: Git, reachable_path: Path, account: Account
    ) -> None:
        with git_server(reachable_path / "served", account) as server:
            server.root.mkdir()
            inner = server.repository("ada/inner").commit({"secret": "1"})
            outer = server.repository("ada/outer")
            outer.commit({".gitmodules": f'[submodule "i"]\npath = i\nurl = {server.origin}/ada/inner.git\n'})
            outer.git("update-index", "--add", "--cacheinfo", f"160000,{inner},i")
            outer.git("commit", "--quiet", "-m", "a submodule")
            sha = outer.git("rev-parse", "HEAD")
            port = server.origin.rpartition(":")[2]
            source = Source(f"http://git.invalid:{port}/ada/outer.git", addresses=("127.0.0.1",))
            with pytest.raises(BinderError, match="not the name of a public host"):
                await git.fetch(source, sha)
