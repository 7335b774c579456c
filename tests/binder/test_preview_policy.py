"""What binder.yml may say of previews, what it is told when it says something else, and which names fit it."""

import contextlib
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from binder.preview_policy import PreviewPolicy, read_policy

ALL = """\
as_of: commit-date
previews:
  branches: [main, "release/*"]
  pull_requests: labeled
  labels: [preview]
  drafts: false
  paths: ["**.ipynb", requirements.txt]
  forks: never
comment: false
deployments: false
"""


def test_everything_can_be_said() -> None:
    assert read_policy("binder.yml", ALL) == PreviewPolicy(
        branches=("main", "release/*"),
        pull_requests="labeled",
        labels=("preview",),
        drafts=False,
        paths=("**.ipynb", "requirements.txt"),
        forks="never",
        comment=False,
        deployments=False,
    )


@pytest.mark.parametrize("text", ["", "# nothing", "as_of: commit-date", "previews: {}", "post_build: nonsense"])
def test_what_is_not_said_is_the_default(text: str) -> None:
    assert read_policy("binder.yml", text) == PreviewPolicy()


def test_pull_requests_are_all_or_none_or_labeled() -> None:
    assert read_policy("binder.yml", "previews: {pull_requests: true}").pull_requests == "all"
    assert read_policy("binder.yml", "previews: {pull_requests: false}").pull_requests == "none"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("- previews", 1, "binder.yml must be a table."),
        ("\nprevies: {}\npreviews: 1", 3, "`previews` in binder.yml must be a table. It may say `branches`"),
        ("previews: []", 1, "must be a table"),
        ("previews:\n  branch: [x]", 2, "`previews` in binder.yml does not know `branch`. It may say `branches`"),
        ("previews:\n  branches: main", 2, "must be a list of 1 to 50 texts"),
        ("previews:\n  branches: []", 2, "must be a list of 1 to 50 texts"),
        ("previews:\n  branches:\n  - main\n  - [x]", 4, "must be a list of 1 to 50 texts"),
        ('previews:\n  paths: ["!x"]', 2, "none of which begins with `!`"),
        (f"previews:\n  paths: [{'x' * 201}]", 2, "at most 200 characters"),
        (f"previews:\n  paths: [{'x,' * 51}]", 2, "1 to 50 texts"),
        ("previews:\n  drafts: yes", 2, "`drafts` in binder.yml must be `true` or `false`."),
        ("previews:\n  drafts:\n", 2, "must be `true` or `false`"),
        ("previews:\n  pull_requests: [x]", 2, "must be `true` or `labeled` or `false`"),
        ("previews:\n  forks: always", 2, "must be `approval` or `never`"),
        ("comment: no", 1, "`comment` in binder.yml must be `true` or `false`."),
        ("comment: true\ndeployments: []", 2, "`deployments` in binder.yml must be"),
        ("previews:\n  labels: [x]", 1, "`labels` and `pull_requests: labeled` in binder.yml go together"),
        ("previews:\n  pull_requests: labeled", 1, "go together"),
        ("previews: {drafts: true}\npreviews: {}", 2, "a second time"),
    ],
)
def test_anything_else_is_refused_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(RepositoryFault) as caught:
        read_policy("binder.yml", text)
    assert problem in caught.value.message
    assert (caught.value.file, caught.value.line) == ("binder.yml", line)


def test_it_has_a_size() -> None:
    with pytest.raises(RepositoryFault, match="larger than 64 KiB"):
        read_policy("binder.yml", "#" * 2**16 + "#")


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("main", ["main"], ["maine", "x/main", "Main"]),
        ("release/*", ["release/1", "release/1/2", "release/"], ["release", "x/release/1"]),
        ("*.ipynb", ["a.ipynb", "b/c.ipynb"], ["a.ipynb.txt", "ipynb"]),
        ("**.ipynb", ["a.ipynb", "b/c.ipynb"], ["a.py"]),
        ("**/a.ipynb", ["a.ipynb", "b/a.ipynb", "b/c/a.ipynb"], ["ba.ipynb"]),
        ("data/", ["data/x", "data/x/y"], ["data", "old/data/x"]),
        ("v[0-9]?", ["v1a"], ["va1", "v1"]),
        ("[", ["["], ["x"]),
    ],
)
def test_patterns(pattern: str, fits: list[str], does_not: list[str]) -> None:
    policy = PreviewPolicy(branches=(pattern,), paths=(pattern,))
    for name in fits:
        assert policy.wants_branch(name)
        assert policy.wants_change(["nothing", name])
    for name in does_not:
        assert not policy.wants_branch(name)
    assert not policy.wants_change(does_not)
    assert not policy.wants_change([])


def test_without_patterns_everything_fits() -> None:
    assert PreviewPolicy().wants_branch("any")
    assert PreviewPolicy().wants_change([])


@pytest.mark.parametrize("pattern", ["*a" * 100, "*[a]" * 50, "*?" * 100, "**/" * 60])
def test_no_pattern_takes_long(pattern: str) -> None:
    began = process_time()
    PreviewPolicy(paths=(pattern,) * 50).wants_change(["a" * 1000 + "b"] * 20)
    assert process_time() - began < 5


@given(
    st.text() | st.lists(st.sampled_from(["previews", "paths", ": ", "\n  ", "- ", "[", "]", "x", "!"])).map("".join)
)
def test_whatever_is_said_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(RepositoryFault):
        read_policy("binder.yml", text)
