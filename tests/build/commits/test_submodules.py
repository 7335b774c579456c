"""Submodules: which are followed, from where, with which right, and which are refused."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from binder.errors import OperatorFault, RepositoryFault, WorldFault
from binder.paths import Paths
from binder.process import Account
from build.commits.git import Git, Source
from build.commits.submodules import Submodule, check_nesting, fault_of_submodule, submodules_of
from build.commits.tree import Entry
from tests.build.git_servers import GitServer, basic, git_server
from tests.repositories import LocalRepository

SHA = "1" * 40
PARENT = Source("https://git.example.org/ada/notebooks.git", token="hunter2")


@pytest.fixture
def git(reachable_path: Path, account: Account) -> Git:
    paths = Paths(reachable_path / "state", reachable_path / "cache")
    paths.make(account)
    return Git(paths, account, None, timeout_seconds=60)


@pytest.fixture
def server(reachable_path: Path, account: Account) -> Iterator[GitServer]:
    root = reachable_path / "served"
    root.mkdir()
    root.chmod(0o755)
    with git_server(root, account) as server:
        yield server


def _add(parent: LocalRepository, submodules: dict[str, tuple[str, str]]) -> str:
    """Commit submodules, path → address and sha, beside what there is."""
    text = "".join(f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n' for path, (url, _) in submodules.items())
    parent.commit({".gitmodules": text})
    for path, (_, sha) in submodules.items():
        parent.git("update-index", "--add", "--cacheinfo", f"160000,{sha},{path}")
    parent.git("commit", "--quiet", "--message", "Submodules")
    return parent.git("rev-parse", "HEAD")


async def test_files_of_submodules_are_files_of_the_commit(git: Git, server: GitServer, tmp_path: Path) -> None:
    innermost, inner, parent = (server.repository(name) for name in ("eve/inmost", "ada/inner", "ada/parent"))
    innermost_sha = innermost.commit({"z.txt": "innermost"})
    inner.commit({"b.txt": "inner", "x/y.txt": "deeper"})
    inner_sha = _add(inner, {"x/sub": ("../../eve/inmost.git/", innermost_sha)})
    parent.commit({"a.txt": "parent", "libs-of-others.txt": "x", "libs/c.txt": "y"})
    sha = _add(parent, {"libs/inner": (f"{server.origin}/ada/inner.git", inner_sha)})
    source = server.source("ada/parent", "hunter2")
    commit = await git.fetch(source, sha)
    texts = {
        "a.txt": b"parent",
        "libs-of-others.txt": b"x",
        "libs/c.txt": b"y",
        "libs/inner/b.txt": b"inner",
        "libs/inner/x/sub/z.txt": b"innermost",
        "libs/inner/x/y.txt": b"deeper",
    }
    assert set(commit.files) == {*texts, ".gitmodules", "libs/inner/.gitmodules"}
    assert commit.tree == parent.git("rev-parse", "HEAD^{tree}")
    assert {path: part.sha for path, part in commit.submodules.items()} == {
        "libs/inner": inner_sha,
        "libs/inner/x/sub": innermost_sha,
    }
    assert await git.read_many(source, commit, texts) == texts
    tar = await git.write_tar(source, commit, commit.files, tmp_path / "x.tar", prefix="")
    assert tar.files == len(commit.files)
    # A second look needs no network.
    server.requests.clear()
    assert (await git.fetch(source, sha)).files == commit.files
    assert server.requests == []


async def test_the_token_goes_to_the_owners_repositories_only(git: Git, server: GitServer) -> None:
    server.tokens |= {"ada/parent": "hunter2", "ada/mine": "hunter2"}
    mine, theirs, parent = (server.repository(name) for name in ("ada/mine", "eve/theirs", "ada/parent"))
    submodules = {
        "mine": ("../mine", mine.commit({"a": "1"})),
        "theirs": ("../../eve/theirs", theirs.commit({"a": "2"})),
    }
    sha = _add(parent, submodules)
    await git.fetch(server.source("ada/parent", "hunter2"), sha)
    assert basic("hunter2") in server.authorised("/ada/mine")
    assert server.authorised("/eve") == {None}


async def test_a_fork_brings_the_token_nowhere_but_to_its_repository(git: Git, server: GitServer) -> None:
    server.tokens |= {"ada/parent": "hunter2", "ada/mine": "hunter2"}
    mine, parent = server.repository("ada/mine"), server.repository("ada/parent")
    sha = _add(parent, {"mine": ("../mine", mine.commit({"a": "1"}))})
    source = server.source("ada/parent", "hunter2")
    assert (await git.fetch(source, sha)).submodules
    with pytest.raises(RepositoryFault, match=r"The submodule mine .* or it is private"):
        await git.fetch(replace(source, trusted=False), sha)


async def test_what_one_repository_may_read_another_may_not(git: Git, server: GitServer) -> None:
    secret = server.repository("ada/secret")
    secret_sha = secret.commit({"a": "secret"})
    server.tokens |= {"ada/secret": "hunter2"}
    may, may_not = server.repository("ada/may"), server.repository("ada/may-not")
    submodules = {"secret": ("../secret", secret_sha)}
    await git.fetch(server.source("ada/may", "hunter2"), _add(may, submodules))
    sha = _add(may_not, submodules)
    for token in (None, "hunter3"):
        with pytest.raises(RepositoryFault, match=r"The submodule secret .* or it is private") as caught:
            await git.fetch(server.source("ada/may-not", token), sha)
        assert caught.value.file == ".gitmodules"


async def test_what_is_not_there_is_named(git: Git, server: GitServer) -> None:
    inner, parent = server.repository("ada/inner"), server.repository("ada/parent")
    inner.commit({"a": "1"})
    for url, sha, said in (("../missing", SHA, "no repository at"), ("../inner", SHA, "no longer in the repository")):
        head = _add(parent, {"libs/inner": (url, sha)})
        with pytest.raises(RepositoryFault, match=f"The submodule libs/inner .*{said}") as caught:
            await git.fetch(server.source("ada/parent"), head)
        assert caught.value.file == ".gitmodules"


async def test_a_local_repository_has_local_submodules(git: Git, reachable_path: Path, server: GitServer) -> None:
    inner, parent = server.repository("ada/inner"), server.repository("ada/parent")
    sha = inner.commit({"a": "1"})
    heads = [_add(parent, {"sub": (url, sha)}) for url in ("../inner.git", f"file://{inner.folder}")]
    for head in heads:
        assert "sub/a" in (await git.fetch(parent.source, head)).files
    # One that was fetched from the web has none, and is told so before anything is touched.
    with pytest.raises(RepositoryFault, match="not one of https:// or http://"):
        await git.fetch(server.source("ada/parent"), heads[-1])


async def test_a_submodule_that_holds_itself_ends(git: Git, server: GitServer) -> None:
    names = [f"ada/r{number}" for number in range(7)]
    sha = server.repository(names[0]).commit({"a": "1"})
    for before, name in itertools.pairwise(names):
        sha = _add(server.repository(name), {"s": (f"../{before.removeprefix('ada/')}", sha)})
    with pytest.raises(RepositoryFault, match="s/s/s/s/s/s lies more than 5 submodules deep"):
        await git.fetch(server.source(names[-1]), sha)


async def test_no_more_submodules_than_can_be_fetched(git: Git, server: GitServer) -> None:
    inner, parent = server.repository("ada/inner"), server.repository("ada/parent")
    sha = inner.commit({"a": "1"})
    head = _add(parent, {f"s{number:02}": ("../inner", sha) for number in range(51)})
    with pytest.raises(RepositoryFault, match="more than 50 submodules; s50 is one too many"):
        await git.fetch(server.source("ada/parent"), head)


async def test_a_gitmodules_that_cannot_be_read_is_named(git: Git, server: GitServer) -> None:
    parent = server.repository("ada/parent")
    parent.commit({".gitmodules": '[submodule "a"]\n\tpath = a\n[submodule\n'})
    parent.git("update-index", "--add", "--cacheinfo", f"160000,{SHA},a")
    parent.git("commit", "--quiet", "--message", "A submodule")
    with pytest.raises(RepositoryFault, match="cannot be read") as caught:
        await git.fetch(server.source("ada/parent"), parent.git("rev-parse", "HEAD"))
    assert (caught.value.file, caught.value.line) == (".gitmodules", 3)


def _of(url: str | None, *, parent: Source = PARENT, path: str = "sub") -> Source:
    configuration = f"submodule.a.b.path\n{path}\0submodule.a.b.url\n{url}\0core.x\0" if url is not None else ""
    files = {"sub": Entry("160000", 0, SHA), "a.txt": Entry("100644", 1)}
    (found,) = submodules_of(parent, files, configuration.encode(), below="libs/")
    assert (found.path, found.sha) == ("sub", SHA)
    return found.source


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://git.example.org/ada/x.git", Source("https://git.example.org/ada/x.git", "hunter2")),
        ("https://GIT.example.org/Ada/x", Source("https://GIT.example.org/Ada/x", "hunter2")),
        ("../x.git", Source("https://git.example.org/ada/x.git", "hunter2")),
        ("../../eve/x/", Source("https://git.example.org/eve/x")),
        ("./x", Source("https://git.example.org/ada/notebooks.git/x", "hunter2")),
        ("https://git.example.org/eve/x", Source("https://git.example.org/eve/x")),
        ("http://git.example.org/ada/x", Source("http://git.example.org/ada/x")),
        ("https://git.example.org:8443/ada/x", Source("https://git.example.org:8443/ada/x")),
        ("https://other.example.org/ada/x", Source("https://other.example.org/ada/x")),
        ("https://git.example.org.evil.example/ada/x", Source("https://git.example.org.evil.example/ada/x")),
    ],
)
def test_the_token_is_for_the_same_host_and_owner(url: str, found: Source) -> None:
    assert _of(url) == found


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("-u./payload", "not one of https"),
        ("--upload-pack=touch here", "not one of https"),
        ("ext::sh -c touch% /tmp/here", "not one of https"),
        ("file:///etc", "not one of https"),
        ("/etc", "not one of https"),
        ("ftp://example.org/x", "not one of https"),
        ("git://example.org/x", "not one of https"),
        ("https:/x", "not one of https"),
        ("HTTPS://x.example/y", "not one of https"),
        ("git@github.example:ada/x.git", "Use https://github.example/ada/x.git"),
        ("ssh://git@github.example/ada/x.git", "Use https://github.example/ada/x.git"),
        ("https://ada:secret@example.org/x", "a name or a password"),
        ("https:///x", "no address"),
        ("https://[x/y", "no address"),
        ("https://example.org:99999/y", "no address"),
        ("https://example.org/a b", "no address"),
        ("https://example.org/a\nb", "no address"),
        ("https://example.org/ü", "no address"),
        ("https://example.org/" + "x" * 3000, "no address"),
        ("../../../x", "leads above its host"),
        ("", "does not say where"),
        (None, "does not say where"),
    ],
)
def test_addresses_that_lead_elsewhere_are_refused(url: str | None, said: str) -> None:
    with pytest.raises(RepositoryFault, match=re.escape(said)) as caught:
        _of(url)
    assert "libs/sub" in caught.value.message
    assert caught.value.file == "libs/.gitmodules"


@pytest.mark.parametrize("path", ["../sub", "sub/../sub", "/sub", "./sub", ".git"])
def test_paths_that_lead_elsewhere_are_nobodys(path: str) -> None:
    with pytest.raises(RepositoryFault, match="does not say where"):
        _of("https://example.org/x", path=path)


def test_only_a_local_repository_has_local_ones() -> None:
    local = Source("file:///srv/git/a", local=True)
    assert _of("file:///srv/git/b", parent=local) == Source("file:///srv/git/b", local=True)
    assert _of("../b", parent=local) == Source("file:///srv/git/b", local=True)
    assert _of("https://example.org/ada/b", parent=local) == Source("https://example.org/ada/b")
    with pytest.raises(RepositoryFault):
        _of("/srv/git/b", parent=local)


def test_whose_fault_a_submodule_is() -> None:
    submodule = Submodule("sub", SHA, Source("https://example.org/x"))
    for error in (WorldFault("later"), OperatorFault("full")):
        assert fault_of_submodule(submodule, "", error) is error
    fault = fault_of_submodule(submodule, "libs/", RepositoryFault("It is a trap."))
    assert isinstance(fault, RepositoryFault)
    assert "libs/sub (commit 111111111111 of https://example.org/x)" in fault.message


def test_nesting_has_an_end() -> None:
    check_nesting("a", 5, 50)
    for depth, number in ((6, 1), (1, 51)):
        with pytest.raises(RepositoryFault, match="more than"):
            check_nesting("a", depth, number)
