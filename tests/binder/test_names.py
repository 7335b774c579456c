"""What the module on names guarantees, one test for each guarantee."""

import os.path
import re
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from binder.names import (
    digest_of,
    is_inside,
    is_ref,
    is_repository,
    is_session_id,
    is_sha,
    is_token,
    new_session_id,
    new_token,
)

_DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")

json_values = st.recursive(
    st.none() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_a_session_id_is_a_dns_label_that_begins_with_a_letter() -> None:
    ids = {new_session_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(_DNS_LABEL.fullmatch(one) and is_session_id(one) for one in ids)


def test_a_token_needs_no_escaping() -> None:
    tokens = {new_token() for _ in range(200)}
    assert len(tokens) == 200
    assert all(_BASE64URL.fullmatch(one) and is_token(one) for one in tokens)


@given(st.text())
@example(new_session_id() + "\n")
@example(new_token() + "\n")
@example("0" * 40 + "\n")
@example("\u0660" * 40)
def test_what_is_let_through_is_safe_everywhere(text: str) -> None:
    if is_session_id(text) or is_token(text) or is_sha(text):
        assert _BASE64URL.fullmatch(text)


@pytest.mark.parametrize(
    ("text", "answer"), [("0" * 40, True), ("0" * 39, False), ("0" * 41, False), ("A" * 40, False), ("g" * 40, False)]
)
def test_shas(text: str, *, answer: bool) -> None:
    assert is_sha(text) is answer


@pytest.mark.parametrize(
    ("owner", "name", "answer"),
    [
        ("ada", "notebooks", True),
        ("ada-lovelace", "a.b_c-d", True),
        ("a", ".github", True),
        ("enterprise_user", "x", True),
        ("-ada", "x", False),
        ("ada-", "x", False),
        ("ada", "", False),
        ("", "x", False),
        ("ada", ".", False),
        ("ada", "..", False),
        ("ada", "a/b", False),
        ("ada/x", "b", False),
        ("ada", "x\n", False),
        ("ada\n", "x", False),
        ("ada", "é", False),
        ("ada", "x" * 101, False),
    ],
)
def test_repositories(owner: str, name: str, *, answer: bool) -> None:
    assert is_repository(owner, name) is answer


parts_of_refs = st.sampled_from([*"ab/.-@{}~^:?*[\\ \x7f\n\té€", "..", ".lock", "@{", "refs/heads/", "lock"])

# A lone @ is no name (git-check-ref-format), but another word for HEAD where git reads a branch.
refs = st.lists(parts_of_refs, max_size=6).map("".join).filter(lambda text: text != "@")


def _git_takes(text: str) -> bool:
    done = subprocess.run(["git", "check-ref-format", "--branch", text], capture_output=True, timeout=10, check=False)
    return done.returncode == 0


@given(refs)
@example("a.lock/b")
@example("a/.b")
@example("a.")
@example("-a")
@example("a/-b")
@example("a//b")
@example("feature/a.b@c-d")
def test_refs_are_what_git_takes(text: str) -> None:
    assert is_ref(text) is _git_takes(text)


def test_refs_that_git_would_not_take_as_a_branch_but_a_link_may_name() -> None:
    assert is_ref("HEAD")
    assert is_ref("0123456789abcdef0123456789abcdef01234567")


@pytest.mark.parametrize("text", ["", "@", "a" * 256, "é" * 128, "a\0b", "\ud800", "a\udcffb"])
def test_what_cannot_be_given_to_git_is_no_ref(text: str) -> None:
    assert not is_ref(text)


@given(st.lists(st.sampled_from(["a", "..", ".", "/", "//", "\0", "b c"]), max_size=6).map("".join))
def test_a_path_inside_stays_inside(path: str) -> None:
    if is_inside(path):
        assert "\0" not in path
        joined = os.path.normpath(os.path.join("/folder", path))  # noqa: PTH118 - what an unsuspecting caller does
        assert joined == "/folder" or joined.startswith("/folder/")


def test_ordinary_paths_are_inside() -> None:
    assert is_inside("notebooks/one.ipynb")
    assert is_inside("..hidden/x")
    assert not is_inside("")


@given(st.lists(json_values, max_size=4), st.lists(json_values, max_size=4))
@example(["ab", "c"], ["a", "bc"])
@example(["a"], [["a"]])
@example([None], [])
@example([None], ["null"])
def test_a_digest_stands_for_its_parts(one: list[object], other: list[object]) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", digest_of(*one))
    assert (digest_of(*one) == digest_of(*other)) is (one == other)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
