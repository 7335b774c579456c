"""Which names can be."""

import pytest

from githubapp.sandbox.names import is_branch, is_owner, is_repository, is_sha, split_full_name


@pytest.mark.parametrize("name", ["ada", "Ada-Lovelace", "a", "0x"])
def test_logins(name: str) -> None:
    assert is_owner(name)


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a--b", "a_b", "a.b", "..", "a/b", "a" * 40, "sandbox", "API", "ada\n"]
)
def test_no_logins(name: str) -> None:
    assert not is_owner(name)


@pytest.mark.parametrize("name", ["demo", "a.b", "_x", "-", ".github", "a" * 100])
def test_repository_names(name: str) -> None:
    assert is_repository(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "demo.git", "Demo.GIT", "a" * 101, "ä", "demo\n"])
def test_no_repository_names(name: str) -> None:
    assert not is_repository(name)


@pytest.mark.parametrize("name", ["main", "feature/x", "a.b", "dependabot/npm_and_yarn/x-1.2"])
def test_branches(name: str) -> None:
    assert is_branch(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-x",
        "a..b",
        "a//b",
        "/a",
        "a/",
        ".a",
        "a/.b",
        "a.lock",
        "a.lock/b",
        "a b",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a@{1}",
        "@",
        "HEAD",
        "a\n",
    ],
)
def test_no_branches(name: str) -> None:
    assert not is_branch(name)


def test_shas() -> None:
    assert is_sha("0" * 40)
    assert not any(is_sha(text) for text in ("0" * 39, "0" * 41, "A" * 40, "0" * 40 + "\n"))


def test_a_full_name_is_two_names() -> None:
    assert split_full_name("ada/demo") == ("ada", "demo")


@pytest.mark.parametrize("text", ["", "ada", "ada/", "/demo", "ada/demo/more", "../demo", "ada/..", "ada/demo.git"])
def test_anything_else_is_no_full_name(text: str) -> None:
    with pytest.raises(ValueError, match="full name"):
        split_full_name(text)
