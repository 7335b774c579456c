"""Commits, fetched and read by the real git."""

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from binder.errors import RepositoryFault, VisitorFault, WorldFault
from binder.paths import Paths
from binder.process import Account
from build.commits.git import Git, Source
from tests.repositories import Files, Link, LocalRepository, Script

MakeRepository = Callable[[Files], LocalRepository]


@pytest.fixture
def paths(reachable_path: Path, account: Account) -> Paths:
    """Folders of this test's own, the cache folder too: what is fetched here is of no use to others."""
    paths = Paths(reachable_path / "state", reachable_path / "cache")
    paths.make(account)
    return paths


@pytest.fixture
def git(paths: Paths, account: Account) -> Git:
    return Git(paths, account, None, timeout_seconds=60)


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def tree(*entries: tuple[str, str, bytes]) -> bytes:
    """Return what `git mktree -z` reads: mode, id and name of each entry."""
    kinds = {"040000": "tree", "160000": "commit"}
    return b"".join(f"{mode} {kinds.get(mode, 'blob')} {sha}\t".encode() + name + b"\0" for mode, sha, name in entries)


async def test_branches_and_tags_are_found(git: Git, make_repository: MakeRepository) -> None:
    repository = make_repository({"a.ipynb": "{}"})
    first = repository.git("rev-parse", "HEAD")
    repository.git("tag", "v1")
    repository.git("tag", "-a", "-m", "The second", "v2")
    repository.git("branch", "feature/x")
    second = repository.commit({"b.ipynb": "{}"})
    source = repository.source
    names = ("HEAD", "main", "feature/x", "v1", "v2")
    assert [await git.resolve(source, ref) for ref in names] == [second, second, first, first, first]
    for ref in ("nope", "x", "heads/main", "refs/heads/main", "-x", "mai*", "--upload-pack=touch here", first):
        assert await git.resolve(source, ref) is None


async def test_a_branch_wins_over_a_tag_of_its_name(git: Git, make_repository: MakeRepository) -> None:
    repository = make_repository({"a.ipynb": "{}"})
    repository.git("tag", "main")
    second = repository.commit({"b.ipynb": "{}"})
    assert await git.resolve(repository.source, "main") == second


async def test_a_repository_that_is_not_there_is_the_visitors_fault(git: Git, reachable_path: Path) -> None:
    with pytest.raises(VisitorFault, match="no repository at"):
        await git.resolve(Source(f"file://{reachable_path}/missing", local=True), "main")


@pytest.mark.parametrize(
    "url", ["file:///etc", "ext::sh -c touch% /tmp/here", "/etc", "ssh://localhost/x", "git://localhost/x"]
)
async def test_links_lead_to_the_web_only(git: Git, url: str) -> None:
    with pytest.raises(WorldFault, match="not allowed"):
        await git.resolve(Source(url), "main")


async def test_a_commit_is_fetched_and_read(git: Git, make_repository: MakeRepository) -> None:
    repository = make_repository({"gone.txt": "x"})
    files = {
        "notebook.ipynb": "{}",
        "data/ü b.csv": b"\x00\xff\r\n",
        "postBuild": Script("#!/bin/sh\n"),
        "link": Link("data"),
        "gone.txt": None,
    }
    sha = repository.commit(files, time=1_700_000_123)
    commit = await git.fetch(repository.source, sha)
    assert (commit.sha, commit.time) == (sha, 1_700_000_123)
    assert commit.tree == repository.git("rev-parse", "HEAD^{tree}")
    assert {path: (entry.mode, entry.size) for path, entry in commit.files.items()} == {
        "notebook.ipynb": ("100644", 2),
        "data/ü b.csv": ("100644", 4),
        "postBuild": ("100755", 10),
        "link": ("120000", 4),
    }
    assert commit.files["notebook.ipynb"].object_id == repository.git("rev-parse", "HEAD:notebook.ipynb")
    assert await git.read(repository.source, commit, "data/ü b.csv") == b"\x00\xff\r\n"


async def test_a_commit_is_fetched_without_its_history_and_once(git: Git, make_repository: MakeRepository) -> None:
    repository = make_repository({"a.txt": "x"})
    first = repository.git("rev-parse", "HEAD")
    second = repository.commit({"b.txt": "y"})
    await git.fetch(repository.source, second)
    shutil.move(repository.folder, repository.folder.with_name("gone"))
    assert set((await git.fetch(repository.source, second)).files) == {"a.txt", "b.txt"}
    with pytest.raises(VisitorFault):
        await git.fetch(repository.source, first)


async def test_only_what_is_new_is_fetched(git: Git, make_repository: MakeRepository, paths: Paths) -> None:
    large = os.urandom(300_000)
    repository = make_repository({"large.bin": large})
    await git.fetch(repository.source, repository.commit({"a.txt": "1"}))
    (packs,) = paths.git.glob("*/objects/pack")
    before = _bytes_in(packs)
    assert before > len(large)
    await git.fetch(repository.source, repository.commit({"a.txt": "2"}))
    assert _bytes_in(packs) - before < 10_000


async def test_packs_are_kept_few(git: Git, make_repository: MakeRepository, paths: Paths) -> None:
    repository = make_repository({"a.txt": "x"})
    shas = [repository.commit({"a.txt": str(number)}) for number in range(25)]
    for sha in shas:
        await git.fetch(repository.source, sha)
    assert len(list(paths.git.glob("*/objects/pack/*.pack"))) <= 20
    shutil.move(repository.folder, repository.folder.with_name("gone"))
    commits = [await git.fetch(repository.source, sha) for sha in (shas[0], shas[24])]
    assert [await git.read(repository.source, commit, "a.txt") for commit in commits] == [b"0", b"24"]


async def test_what_was_fetched_with_a_token_needs_one(git: Git, make_repository: MakeRepository) -> None:
    repository = make_repository({"a.txt": "x"})
    sha = repository.git("rev-parse", "HEAD")
    await git.fetch(replace(repository.source, token="hunter2"), sha)
    shutil.move(repository.folder, repository.folder.with_name("gone"))
    await git.fetch(replace(repository.source, token="hunter3"), sha)
    with pytest.raises(VisitorFault):
        await git.fetch(repository.source, sha)


async def test_what_was_fetched_for_the_repository_is_not_found_for_a_fork(
    git: Git, make_repository: MakeRepository
) -> None:
    repository = make_repository({"a.txt": "x"})
    sha = repository.git("rev-parse", "HEAD")
    await git.fetch(repository.source, sha)
    shutil.move(repository.folder, repository.folder.with_name("gone"))
    with pytest.raises(VisitorFault):
        await git.fetch(replace(repository.source, trusted=False), sha)


async def test_fetches_of_one_repository_do_not_meet(git: Git, make_repository: MakeRepository) -> None:
    repository = make_repository({"a.txt": "0"})
    shas = [repository.commit({"a.txt": str(number)}) for number in range(6)]
    commits = await asyncio.gather(*(git.fetch(repository.source, sha) for sha in shas))
    assert [commit.sha for commit in commits] == shas


async def test_what_a_killed_fetch_left_is_in_nobodys_way(
    git: Git, make_repository: MakeRepository, paths: Paths
) -> None:
    repository = make_repository({"a.txt": "0"})
    await git.fetch(repository.source, repository.commit({"a.txt": "1"}))
    (folder,) = (path for path in paths.git.iterdir() if path.is_dir())
    (folder / "shallow.lock").touch()
    await git.fetch(repository.source, repository.commit({"a.txt": "2"}))
    (folder / "made").unlink()
    shutil.rmtree(folder / "refs")
    await git.fetch(repository.source, repository.commit({"a.txt": "3"}))


@pytest.mark.parametrize(
    ("mode", "name", "said"),
    [
        ("100644", b".git", "contains '.git'"),
        ("100644", b".GIT", "contains '.git'"),
        ("100644", b"git~1", "contains '.git'"),
        ("100644", b"..", "contains '..'"),
        ("100644", b".", "contains '.'"),
        ("120000", b".gitmodules", "is a symbolic link"),
    ],
)
async def test_traps_are_refused(git: Git, make_repository: MakeRepository, mode: str, name: bytes, said: str) -> None:
    repository = make_repository({"a.txt": "x"})
    sha = repository.commit_tree(tree((mode, repository.blob(b"x"), name)))
    with pytest.raises(RepositoryFault, match="broken or a trap") as caught:
        await git.fetch(repository.source, sha)
    assert said in caught.value.message


async def test_a_folder_named_git_is_refused(git: Git, make_repository: MakeRepository) -> None:
    repository = make_repository({"a.txt": "x"})
    inner = repository.git("mktree", "-z", stdin=tree(("100755", repository.blob(b"#!/bin/sh\n"), b"post-checkout")))
    hooks = repository.git("mktree", "-z", stdin=tree(("040000", inner, b"hooks")))
    sha = repository.commit_tree(tree(("040000", hooks, b".git")))
    with pytest.raises(RepositoryFault, match="broken or a trap"):
        await git.fetch(repository.source, sha)


async def test_what_is_no_commit_is_not_built(git: Git, make_repository: MakeRepository) -> None:
    repository = make_repository({"a.txt": "x"})
    for sha in (repository.git("rev-parse", "HEAD^{tree}"), repository.blob(b"x"), "1" * 40):
        with pytest.raises(RepositoryFault, match="no longer in the repository"):
            await git.fetch(repository.source, sha)


async def test_the_sha_of_a_tag_leads_to_its_commit(git: Git, make_repository: MakeRepository) -> None:
    repository = make_repository({"a.txt": "x"})
    repository.git("tag", "-a", "-m", "The first", "v1")
    commit = await git.fetch(repository.source, repository.git("rev-parse", "v1"))
    assert set(commit.files) == {"a.txt"}
    assert commit.tree == repository.git("rev-parse", "HEAD^{tree}")
    assert await git.read(repository.source, commit, "a.txt") == b"x"


async def test_what_old_programs_wrote_is_fetched(git: Git, make_repository: MakeRepository) -> None:
    repository = make_repository({"a.txt": "x"})
    raw = b"0100644 a.txt\0" + bytes.fromhex(repository.blob(b"x"))
    padded = repository.git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=raw)
    for who in (b"Ada <ada@example.org> 1 +051800", b"Ada <ada@example.org>1 +0000"):
        sha = repository.commit_object(b"tree %b\nauthor %b\ncommitter %b\n\nx\n" % (padded.encode(), who, who))
        assert set((await git.fetch(repository.source, sha)).files) == {"a.txt"}


async def test_a_fetch_that_takes_too_long_is_the_worlds_fault(
    paths: Paths, account: Account, make_repository: MakeRepository
) -> None:
    repository = make_repository({"a.txt": "x"})
    git = Git(paths, account, None, timeout_seconds=0.001)
    with pytest.raises(WorldFault, match="took longer than"):
        await git.fetch(repository.source, repository.git("rev-parse", "HEAD"))
