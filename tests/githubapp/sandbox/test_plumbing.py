"""What git says, read back."""

from pathlib import Path

import pytest

from githubapp.sandbox.plumbing import EMPTY_TREE, GitError, Plumbing
from githubapp.sandbox.values import FileChange
from tests.githubapp.sandbox.git_checkout import Checkout

_NUMBER = 7


@pytest.fixture
async def plumbing(tmp_path: Path, checkout: Checkout) -> Plumbing:
    """A repository with three commits: two files, one of them renamed, the other removed."""
    (tmp_path / "git").mkdir()
    made = Plumbing(tmp_path / "git")
    await made.create(_NUMBER, "main")
    await checkout.commit("First", one="1\n2\n3\n4\n", two="2")
    await checkout.git("mv", "one.md", "drei\tü.md")
    await checkout.commit("Renamed")
    await checkout.git("rm", "--quiet", "two.md")
    await checkout.commit("Removed\n\nfor good")
    await checkout.push(str(made.path(_NUMBER)))
    return made


async def test_commits_are_read_back(plumbing: Plumbing) -> None:
    newest, middle, oldest = await plumbing.commits(_NUMBER, "refs/heads/main", limit=9)
    assert (newest.title, newest.message) == ("Removed", "Removed\n\nfor good")
    assert newest.parents == (middle.sha,)
    assert oldest.parents == ()
    assert (newest.author.name, newest.author.email) == ("Ada", "ada@example.org")
    assert await plumbing.count(_NUMBER, newest.sha, f"^{oldest.sha}") == 2
    assert await plumbing.is_ancestor(_NUMBER, oldest.sha, newest.sha)
    assert not await plumbing.is_ancestor(_NUMBER, newest.sha, oldest.sha)


async def test_changes_are_read_back_with_odd_names(plumbing: Plumbing) -> None:
    newest, middle, oldest = await plumbing.commits(_NUMBER, "refs/heads/main", limit=9)
    (renamed,) = await plumbing.changed_files(_NUMBER, oldest.sha, middle.sha)
    assert (renamed.path, renamed.previous_path, renamed.status) == ("drei\tü.md", "one.md", "renamed")
    (removed,) = await plumbing.changed_files(_NUMBER, middle.sha, newest.sha)
    assert removed == FileChange("two.md", None, "removed", 0, 1, None)
    added = await plumbing.changed_files(_NUMBER, EMPTY_TREE, oldest.sha)
    assert [(change.path, change.additions) for change in added] == [("one.md", 4), ("two.md", 1)]
    touched = await plumbing.touched_paths(_NUMBER, [newest.sha, middle.sha])
    assert touched[newest.sha] == {"added": [], "removed": ["two.md"], "modified": []}
    assert touched[middle.sha] == {"added": ["drei\tü.md"], "removed": ["one.md"], "modified": []}


async def test_files_are_read_up_to_a_size(plumbing: Plumbing) -> None:
    (newest,) = await plumbing.commits(_NUMBER, "refs/heads/main", limit=1)
    assert await plumbing.file_names(_NUMBER, newest.sha) == ["drei\tü.md"]
    assert await plumbing.file(_NUMBER, newest.sha, "drei\tü.md", largest_bytes=8) == b"1\n2\n3\n4\n"
    assert await plumbing.file(_NUMBER, newest.sha, "drei\tü.md", largest_bytes=7) is None
    assert await plumbing.file(_NUMBER, newest.sha, "missing", largest_bytes=7) is None


async def test_an_error_says_what_git_said(plumbing: Plumbing) -> None:
    with pytest.raises(GitError, match="unrecognized argument"):
        await plumbing.run(_NUMBER, "log", "--no-such-option")


async def test_git_is_given_a_limited_time(plumbing: Plumbing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("githubapp.sandbox.plumbing._TIMEOUT_SECONDS", 0.2)
    with pytest.raises(TimeoutError):
        await plumbing.run(_NUMBER, "-c", "alias.wait=!sleep 30", "wait")
