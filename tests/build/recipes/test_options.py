"""What binder.yml may say, and what it is told when it says something else."""

import contextlib
from datetime import date
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from build.recipes.options import Options, options_of


def read(text: str) -> Options:
    return options_of("binder.yml", text)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Options()),
        ("# nothing yet\n", Options()),
        ("as_of: commit-date", Options("commit-date")),
        ("as_of: 2024-02-29", Options(date(2024, 2, 29))),
        ("previews: {drafts: false}\ncomment: false\nas_of: commit-date", Options("commit-date")),
        ('as_of: "2024-02-29"', Options(date(2024, 2, 29))),
        ("post_build:\n  inputs: []", Options(None, ())),
        ("post_build: {inputs: [./postBuild, data/, data]}", Options(None, ("postBuild", "data"))),
    ],
)
def test_what_may_be_said(text: str, expected: Options) -> None:
    assert read(text) == expected


def test_resources_know_their_file_and_lines() -> None:
    asked = read("as_of: commit-date\nresources:\n  memory: 4 GiB\n").resources
    assert asked
    assert (asked.memory_bytes, asked.file, asked.lines) == (4 * 2**30, "binder.yml", {"memory_bytes": 3})


def test_inputs_know_their_lines() -> None:
    assert options_of("binder.yml", "post_build:\n  inputs:\n  - a\n  - b\n  - a\n")[1] == {"a": 3, "b": 4}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (
            "- as_of",
            1,
            "must be a table. It may say `as_of`, `check`, `modules`, `post_build`, `resources`, `previews`, `comment`",
        ),
        ("as_of: commit-date\nasof: x", 2, "does not know `asof`"),
        ("as_of: yesterday", 1, "must be `commit-date`, or a day such as `2024-05-31`"),
        ("as_of: 2023-02-29", 1, "must be `commit-date`, or a day"),
        ("as_of: 20240229", 1, "must be `commit-date`, or a day"),
        ("as_of:\n", 1, "must be `commit-date`, or a day"),
        ("as_of: []", 1, "must be `commit-date`, or a day"),
        ("as_of: commit-date\nas_of: commit-date", 2, "a second time"),
        ("\npost_build: yes", 2, "must be a table with the list `inputs`"),
        ("post_build: {}", 1, "must be a table with the list `inputs`"),
        ("post_build: {inputs: x}", 1, "must be a table with the list `inputs`"),
        ("post_build:\n  outputs: [x]", 2, "must be a table with the list `inputs`"),
        ("post_build:\n  inputs:\n  - ../x", 3, "must list files and folders of the repository"),
        ("post_build:\n  inputs:\n  - /x", 3, "must list files and folders"),
        ("post_build:\n  inputs:\n  - .", 3, "must list files and folders"),
        ("post_build:\n  inputs:\n  - [x]", 3, "must list files and folders"),
        ("as_of: commit-date\npreviews:\n  drafts: maybe", 3, "`drafts` in binder.yml must be `true` or `false`"),
        ("as_of: commit-date\nresources:\n  gpu: many", 3, "`gpu` in binder.yml must be a whole number of GPUs"),
        ("a: &a x\nb: *a", 2, "alias"),
        ("as_of: !x commit-date", 1, "tag"),
        ("as_of: commit-date\n---\nas_of: commit-date", 2, "second document"),
        ("as_of: [}", 1, "not valid YAML"),
        ('as_of: "\\UFFFFFFFF"', 1, "not valid YAML"),
    ],
)
def test_anything_else_is_refused_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(RepositoryFault) as caught:
        read(text)
    assert problem in caught.value.message
    assert (caught.value.file, caught.value.line) == ("binder.yml", line)


def test_it_has_a_size() -> None:
    assert read("#" * 2**16) == Options()
    with pytest.raises(RepositoryFault, match="larger than 64 KiB"):
        read("#" * 2**16 + "#")


@pytest.mark.parametrize(
    "piece", ["[", "{", "- ", "a: ", "? ", "&a ", "*a ", "'", '"', "\n", "\t", "x,", "[x,", "!", "|"]
)
def test_the_largest_file_is_refused_at_once(piece: str) -> None:
    began = process_time()
    with contextlib.suppress(RepositoryFault):
        read(piece * (2**16 // len(piece)))
    assert process_time() - began < 2


@given(
    st.text() | st.lists(st.sampled_from(["as_of", ": ", "\n", "- ", "x", "[", "]", "{", "}", "&a", "*a"])).map("".join)
)
def test_whatever_is_said_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(RepositoryFault):
        read(text)
