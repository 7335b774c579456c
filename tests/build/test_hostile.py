"""Repositories that were made to harm: a clear error or harmless data, and the next build goes on as if nothing was."""

import hashlib
import os
import tarfile
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import perf_counter

import pytest

from binder.errors import RepositoryFault
from binder.paths import Paths
from binder.process import Account
from build.commits.git import Git
from tests.repositories import Files, LocalRepository

MakeRepository = Callable[[Files], LocalRepository]
Entries = list[tuple[str, bytes, str]]
"""Mode, name and id of each entry of a folder."""


@pytest.fixture
def paths(reachable_path: Path, account: Account) -> Paths:
    paths = Paths(reachable_path / "state", reachable_path / "cache")
    paths.make(account)
    return paths


@pytest.fixture
def hostile(make_repository: MakeRepository) -> LocalRepository:
    """A repository to do harm with."""
    return make_repository({"a.txt": "x"})


@pytest.fixture
async def git(paths: Paths, account: Account, make_repository: MakeRepository) -> AsyncIterator[Git]:
    """git, which must serve others after the test, and must have touched nothing but what is its own."""
    outside = _all_below(paths.cache.parent, but=paths.cache)
    git = Git(paths, account, None, timeout_seconds=60, most_bytes=10**6)
    yield git
    good = make_repository({"good.txt": "fine"})
    commit = await git.fetch(good.source, good.git("rev-parse", "HEAD"))
    assert await git.read(good.source, commit, "good.txt") == b"fine"
    repositories = {path for path in _all_below(paths.cache.parent, but=paths.cache) if "repository-" in path}
    assert _all_below(paths.cache.parent, but=paths.cache) - repositories == outside - repositories


def _all_below(folder: Path, *, but: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if not path.is_relative_to(but)}


def _store(repository: LocalRepository, kind: str, content: bytes) -> str:
    """Store an object, whatever is in it, without a process for each."""
    whole = b"%b %d\0%b" % (kind.encode(), len(content), content)
    object_id = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    path = repository.folder / ".git/objects" / object_id[:2] / object_id[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(whole, 1))
    return object_id


def _folder(repository: LocalRepository, entries: Entries) -> str:
    content = b"".join(b"%b %b\0%b" % (mode.encode(), name, bytes.fromhex(sha)) for mode, name, sha in entries)
    return _store(repository, "tree", content)


def _commit(repository: LocalRepository, tree: str) -> str:
    who = b"Ada <ada@example.org> 1700000000 +0000"
    return _store(repository, "commit", b"tree %b\nauthor %b\ncommitter %b\n\nx\n" % (tree.encode(), who, who))


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("100644", b".."),
        ("100644", b"."),
        ("100644", b".git"),
        ("100644", b".GIT"),
        ("100644", b".Git "),
        ("100644", b"git~1"),
        ("100644", b".g\xe2\x80\x8cit"),
        ("100644", b"../evil"),
        ("100644", b"/etc/evil"),
        ("100644", b"a/../../evil"),
        ("120000", b".gitmodules"),
        ("040000", b".git"),
        ("040000", b".."),
        ("010644", b"pipe"),
    ],
)
async def test_names_that_lead_elsewhere(git: Git, hostile: LocalRepository, mode: str, name: bytes) -> None:
    inner = _store(hostile, "blob", b"[core]\n\tfsmonitor = touch here\n")
    if mode == "040000":
        inner = _folder(hostile, [("100644", b"config", inner)])
    sha = _commit(hostile, _folder(hostile, [(mode, name, inner)]))
    with pytest.raises(RepositoryFault):
        await git.fetch(hostile.source, sha)


async def test_a_link_and_a_folder_of_one_name(git: Git, hostile: LocalRepository) -> None:
    blob, link = _store(hostile, "blob", b"evil"), _store(hostile, "blob", b"/etc")
    inner = _folder(hostile, [("100644", b"passwd", blob)])
    for entries in (
        [("120000", b"a", link), ("40000", b"a", inner)],
        [("120000", b"a", link), ("100644", b"a-b", blob), ("40000", b"a", inner)],
        [("120000", b"a", link), ("100644", b"a", blob)],
    ):
        with pytest.raises(RepositoryFault):
            await git.fetch(hostile.source, _commit(hostile, _folder(hostile, entries)))


async def test_links_are_only_links(git: Git, hostile: LocalRepository, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    targets = {b"absolute": bytes(canary), b"passwd": b"/etc/passwd", b"self": b"self", b"up": b"../" * 40 + b"etc"}
    entries = [("120000", name, _store(hostile, "blob", target)) for name, target in sorted(targets.items())]
    commit = await git.fetch(hostile.source, _commit(hostile, _folder(hostile, entries)))
    read = await git.read_many(hostile.source, commit, commit.files)
    assert read == {name.decode(): target for name, target in targets.items()}
    tar = await git.write_tar(hostile.source, commit, commit.files, tmp_path / "x.tar", prefix="")
    with tarfile.open(tar.path) as archive:
        assert {part.name.encode(): part.linkname.encode() for part in archive if part.issym()} == targets
    assert canary.read_text() == "untouched"


async def test_links_that_are_no_links(git: Git, hostile: LocalRepository, tmp_path: Path) -> None:
    for target in (b"", b"a\0b", b"caf\xe9", b"x" * 5000):
        sha = _commit(hostile, _folder(hostile, [("120000", b"link", _store(hostile, "blob", target))]))
        with pytest.raises(RepositoryFault) as caught:  # noqa: PT012 - newer versions of git refuse some at once
            commit = await git.fetch(hostile.source, sha)
            await git.write_tar(hostile.source, commit, commit.files, tmp_path / "x.tar")
        assert caught.value.file == "link"


async def test_odd_names_are_only_names(git: Git, hostile: LocalRepository, tmp_path: Path) -> None:
    blob = _store(hostile, "blob", b"x")
    names = sorted([b"-rf", b"a\nb", b"a\tb", b"a\\b", b"$(touch here)", b"\x1b[2J", b" ", b"\x7f", b"~", b"%s", b"="])
    commit = await git.fetch(
        hostile.source, _commit(hostile, _folder(hostile, [("100644", name, blob) for name in names]))
    )
    assert await git.read_many(hostile.source, commit, commit.files) == {name.decode(): b"x" for name in names}
    tar = await git.write_tar(hostile.source, commit, commit.files, tmp_path / "x.tar", prefix="")
    with tarfile.open(tar.path) as archive:
        assert [part.name.encode() for part in archive] == names


async def test_names_that_are_not_utf8_are_named(git: Git, hostile: LocalRepository) -> None:
    sha = _commit(hostile, _folder(hostile, [("100644", b"caf\xe9.ipynb", _store(hostile, "blob", b"x"))]))
    with pytest.raises(RepositoryFault, match=r"The name of caf\\xe9\.ipynb is not UTF-8") as caught:
        await git.fetch(hostile.source, sha)
    assert caught.value.file == r"caf\xe9.ipynb"


async def test_too_many_files(git: Git, hostile: LocalRepository) -> None:
    blob = _store(hostile, "blob", b"x")
    sha = _commit(hostile, _folder(hostile, [("100644", b"%06d" % number, blob) for number in range(100_001)]))
    began = perf_counter()
    with pytest.raises(RepositoryFault, match="more than 100,000 files"):
        await git.fetch(hostile.source, sha)
    assert perf_counter() - began < 30


async def test_a_folder_that_holds_itself_many_times_over(git: Git, hostile: LocalRepository) -> None:
    """Ten folders, each ten times in the next: ten thousand million files in a hundred bytes each."""
    tree = _folder(hostile, [("100644", b"%d" % number, _store(hostile, "blob", b"x")) for number in range(10)])
    for _ in range(9):
        tree = _folder(hostile, [("40000", b"%d" % number, tree) for number in range(10)])
    sha = _commit(hostile, tree)
    began = perf_counter()
    with pytest.raises(RepositoryFault, match="more than 100,000 files"):
        await git.fetch(hostile.source, sha)
    assert perf_counter() - began < 30


async def test_folders_that_go_down_and_down(git: Git, hostile: LocalRepository) -> None:
    tree = _folder(hostile, [("100644", b"x", _store(hostile, "blob", b"x"))])
    for _ in range(3000):
        tree = _folder(hostile, [("40000", b"d", tree)])
    with pytest.raises(RepositoryFault, match=r"longer than a disk can hold|broken or a trap"):
        await git.fetch(hostile.source, _commit(hostile, tree))


async def test_a_large_file_is_refused_by_its_name(git: Git, hostile: LocalRepository) -> None:
    """Zeros: small on the way, and so found by the listing, before anything of them is read."""
    sha = hostile.commit({"data/x.bin": bytes(50 * 10**6), "y.txt": "y"})
    with pytest.raises(RepositoryFault, match=r"data/x\.bin has 50\.0 MB; a repository may have 1\.0 MB") as caught:
        await git.fetch(hostile.source, sha)
    assert caught.value.file == "data/x.bin"


async def test_a_pack_that_is_too_large_is_broken_off(git: Git, hostile: LocalRepository, paths: Paths) -> None:
    sha = hostile.commit({"x.bin": os.urandom(5 * 10**6)})
    for _ in range(2):
        with pytest.raises(RepositoryFault, match="larger than this service fetches"):
            await git.fetch(hostile.source, sha)
    # What is left of it is the next fetch's to remove: it does not add up.
    assert sum(path.stat().st_size for path in paths.git.rglob("*") if path.is_file()) < 2 * 10**6


async def test_what_git_itself_would_follow(git: Git, hostile: LocalRepository) -> None:
    files: Files = {
        ".gitattributes": "* filter=evil diff=evil text eol=crlf export-ignore export-subst ident\n",
        "a.txt": "$Format:%H$ $Id$\n",
        ".gitconfig": "[core]\n\tpager = touch here\n",
        ".lfsconfig": "[lfs]\n\turl = ext::touch here\n",
    }
    commit = await git.fetch(hostile.source, hostile.commit(files))
    assert set(commit.files) == set(files)
    assert await git.read(hostile.source, commit, "a.txt") == b"$Format:%H$ $Id$\n"
