"""Git LFS, from the real git-lfs and a small server of its protocol."""

import hashlib
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from binder.errors import BinderError, OperatorFault, RepositoryFault, WorldFault
from binder.paths import Paths
from binder.process import Account
from build.commits.git import Git
from build.commits.lfs import Pointer, fault_of_lfs, may_be_pointer, pointer_of
from build.commits.tree import Entry
from tests.build.git_servers import GitServer, basic, git_server, pointer

ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
SHA256 = "ab" * 32


@pytest.fixture
def paths(reachable_path: Path, account: Account) -> Paths:
    paths = Paths(reachable_path / "state", reachable_path / "cache")
    paths.make(account)
    return paths


@pytest.fixture
def git(paths: Paths, account: Account) -> Git:
    return Git(paths, account, None, timeout_seconds=60, most_bytes=10**6)


@pytest.fixture
def server(reachable_path: Path, account: Account) -> Iterator[GitServer]:
    root = reachable_path / "served"
    root.mkdir()
    root.chmod(0o755)
    with git_server(root, account) as server:
        yield server


async def test_pointers_become_what_they_point_to(git: Git, server: GitServer, tmp_path: Path) -> None:
    one, two = os.urandom(100_000), b"two"
    inner, parent = server.repository("ada/inner"), server.repository("ada/parent")
    inner_sha = inner.commit({".gitattributes": ATTRIBUTES, "c.bin": server.keep(two)})
    parent.commit({
        "data/.gitattributes": ATTRIBUTES,
        "data/one.bin": server.keep(one),
        "data/same.bin": server.keep(one),
        "two.bin": server.keep(two),
        "a.txt": "x",
        "not.bin": server.keep(one) + "more\n",
        ".gitmodules": '[submodule "sub"]\n\tpath = sub\n\turl = ../inner\n',
        ".lfsconfig": "[lfs]\n\turl = http://127.0.0.1:1/evil\n",
    })  # fmt: skip
    parent.git("update-index", "--add", "--cacheinfo", f"160000,{inner_sha},sub")
    parent.git("commit", "--quiet", "--message", "A submodule")
    source = server.source("ada/parent")
    commit = await git.fetch(source, parent.git("rev-parse", "HEAD"))
    assert {path: commit.files[path].size for path in commit.large} == {
        "data/one.bin": 100_000,
        "data/same.bin": 100_000,
        "two.bin": 3,
        "sub/c.bin": 3,
    }
    assert commit.files["two.bin"].object_id == parent.git("rev-parse", "HEAD:two.bin")
    read = await git.read_many(source, commit, ["data/one.bin", "sub/c.bin", "a.txt"])
    assert read == {"data/one.bin": one, "sub/c.bin": two, "a.txt": b"x"}
    tar = await git.write_tar(source, commit, commit.files, tmp_path / "x.tar", prefix="")
    with tarfile.open(tar.path) as archive:
        contents = {path: archive.extractfile(path) for path in commit.large}
        assert {path: content.read() for path, content in contents.items() if content} == {
            "data/one.bin": one,
            "data/same.bin": one,
            "two.bin": two,
            "sub/c.bin": two,
        }
    # A second look needs no network.
    server.requests.clear()
    assert await git.fetch(source, commit.sha) == commit
    assert server.requests == []


async def test_a_private_repository_needs_its_token(git: Git, server: GitServer, paths: Paths) -> None:
    server.tokens["ada/private"] = "hunter2"
    private = server.repository("ada/private")
    sha = private.commit({".gitattributes": ATTRIBUTES, "a.bin": server.keep(b"secret")})
    source = server.source("ada/private", "hunter2")
    commit = await git.fetch(source, sha)
    assert await git.read(source, commit, "a.bin") == b"secret"
    assert basic("hunter2") in server.authorised("/ada/private.git/info/lfs")
    kept = [path.read_bytes() for path in paths.git.rglob("*") if path.is_file() and path.suffix != ".pack"]
    assert not any(b"hunter2" in content or basic("hunter2")[6:].encode() in content for content in kept)


async def test_without_attributes_a_pointer_is_a_text(git: Git, server: GitServer) -> None:
    repository = server.repository("ada/plain")
    text = pointer(SHA256, 5)
    for files in ({"a.bin": text}, {"a.bin": text, ".gitattributes": "*.bin binary\n", "x.gitattributes": ATTRIBUTES}):
        commit = await git.fetch(server.source("ada/plain"), repository.commit(files))
        assert commit.large == {}
        assert commit.files["a.bin"].size == len(text)


async def test_what_is_gone_or_wrong_is_named(git: Git, server: GitServer) -> None:
    repository = server.repository("ada/broken")
    there = server.keep(b"there")
    sha = repository.commit({".gitattributes": ATTRIBUTES, "a.bin": there, "data/gone.bin": pointer(SHA256, 5)})
    with pytest.raises(RepositoryFault, match=r"the content of data/gone\.bin: .*does not exist") as caught:
        await git.fetch(server.source("ada/broken"), sha)
    assert caught.value.file == "data/gone.bin"
    for wrong in (b"wrong", b"short", b"much longer than it should be" * 100_000):
        server.large[SHA256] = wrong
        with pytest.raises(RepositoryFault, match=r"the content of data/gone\.bin"):
            await git.fetch(server.source("ada/broken"), sha)


async def test_what_would_be_too_much_is_not_asked_for(git: Git, server: GitServer) -> None:
    repository = server.repository("ada/large")
    sha = repository.commit({".gitattributes": ATTRIBUTES, "x.bin": pointer(SHA256, 5_000_000_000)})
    with pytest.raises(RepositoryFault, match=r"x\.bin has 5\.0 GB; a repository may have 1\.0 MB"):
        await git.fetch(server.source("ada/large"), sha)
    assert not server.authorised("/ada/large.git/info/lfs")


async def test_a_local_repository_has_its_own_large_files(git: Git, server: GitServer) -> None:
    repository = server.repository("ada/local")
    sha256 = hashlib.sha256(b"local").hexdigest()
    kept = f".git/lfs/objects/{sha256[:2]}/{sha256[2:4]}/{sha256}"
    sha = repository.commit({".gitattributes": ATTRIBUTES, "a.bin": pointer(sha256, 5)})
    (repository.folder / kept).parent.mkdir(parents=True)
    (repository.folder / kept).write_bytes(b"local")
    commit = await git.fetch(repository.source, sha)
    assert await git.read(repository.source, commit, "a.bin") == b"local"


def test_only_what_git_lfs_writes_is_a_pointer() -> None:
    text = pointer(SHA256, 5).encode()
    assert pointer_of(text) == Pointer(SHA256, 5)
    assert pointer_of(text[:-1]) == Pointer(SHA256, 5)
    for other in (b"", text + b"x", text.replace(b"size 5", b"size -5"), text.replace(b"size 5", b"size 05")):
        assert pointer_of(other) is None
    assert pointer_of(text.replace(b"ab", b"AB")) is None
    assert pointer_of(text.replace(b"git-lfs.github.com", b"evil.example.org")) is None
    for size in (1, 10**17):
        longest = pointer(SHA256, size)
        assert may_be_pointer(Entry("100644", len(longest)))
    assert not may_be_pointer(Entry("120000", 130))
    assert not may_be_pointer(Entry("100644", 1000))


@pytest.mark.parametrize(
    ("said", "fault", "message"),
    [
        ("write: no space left on device", OperatorFault, "disk"),
        ("git: 'lfs' is not a git command. See 'git --help'.", OperatorFault, "make set-up"),
        ("batch response: Post https://x: dial tcp: no such host", WorldFault, "no such host"),
        ("batch response: Fatal error: Server error: HTTP 503", WorldFault, "503"),
        ("batch response: This repository is over its data quota.", RepositoryFault, "over its data quota"),
        ("", RepositoryFault, "said nothing"),
        (
            f"[{SHA256}] Object does not exist: [404]\nerror: failed to fetch some objects",
            RepositoryFault,
            "of b.bin: ",
        ),
    ],
)
def test_what_git_lfs_says_tells_whose_fault_it_is(said: str, fault: type[BinderError], message: str) -> None:
    found = fault_of_lfs({"a.bin": Pointer("0" * 64, 5), "b.bin": Pointer(SHA256, 5)}, said)
    assert isinstance(found, fault)
    assert message in found.message
