"""The words that GitHub shows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from binder.lifecycle import BuildState
from binder.store.queries import ACTIVE_BUILDS
from binder.store.tables import Build, Preview, Repository
from githubapp.reports import COMMENT_MARKER, Addresses, comment_of, end_of, ended_status, status_of, waiting_status
from githubapp.values import Status

SHA, NEWER = "abc1234" + "0" * 33, "def5678" + "0" * 33
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REPOSITORY = Repository(id=1, owner="ada", name="demo")
ADDRESSES = Addresses("https://binder.example.org", "https://github.com")
PAGE = "https://binder.example.org/builds/7"
LINK = f"https://binder.example.org/v2/gh/ada/demo/{SHA}?urlpath=lab"
THREE = [{"kind": kind, "key": "k", "reused": kind != "content"} for kind in ("base", "environment", "content")]


def preview(kind: str = "pull", *, live: bool = True, head: str = SHA) -> Preview:
    return Preview(id=3, kind=kind, ref="12", live=live, head_sha=head)


def build(state: BuildState, *, seconds: float | None = 12.0, **more: Any) -> Build:
    ends = {"started_at": NOW, "finished_at": NOW + timedelta(seconds=seconds)} if seconds is not None else {}
    return Build(id=7, sha=SHA, state=state, **{**ends, **more})


def status(row: Build) -> Status:
    return status_of(row, REPOSITORY, ADDRESSES)


def comment(row: Build, of: Preview | None = None) -> str:
    return comment_of(row, REPOSITORY, of or preview(), ADDRESSES)


@pytest.mark.parametrize("state", ACTIVE_BUILDS)
def test_a_build_that_goes_on_says_one_of_two_things(state: BuildState) -> None:
    assert status(build(state, seconds=None)) == Status("pending", "Queued", PAGE)
    assert status(build(state, seconds=None, started_at=NOW)) == Status("pending", "Building …", PAGE)


@pytest.mark.parametrize(
    ("seconds", "result", "description"),
    [
        (12.4, {"layers": THREE}, "Ready in 12 s: 2 of 3 layers re-used"),
        (2.54, {"way": "content", "layers": THREE}, "Ready in 2.5 s: only files changed, 2 of 3 layers re-used"),
        (0.2, {"way": "nothing"}, "Ready in 0.2 s: image was there already"),
        (192.0, {"way": "full", "layers": []}, "Ready in 3 min 12 s: built whole"),
        (9.96, None, "Ready in 10 s"),
        (None, {"layers": THREE[:1]}, "Ready: 1 of 1 layers re-used"),
        (None, None, "Ready \N{EN DASH} open the notebook"),
        (
            3.1,
            {"way": "delta", "layers": THREE, "saved": {"bytes": 312_000_000, "seconds": 41}},
            "Ready in 3.1 s: packages changed, one layer on the last environment, 2 of 3 layers re-used, "
            "saved 312 MB and 41 s",
        ),
    ],
)
def test_success_opens_the_notebook_and_says_what_it_cost(
    seconds: float | None, result: dict[str, Any] | None, description: str
) -> None:
    shown = status(build(BuildState.SUCCEEDED, seconds=seconds, result=result))
    assert shown == Status("success", description, LINK)


@given(
    st.sampled_from(["nothing", "content", "delta", "full", "x" * 200]),
    st.floats(0, 1e6),
    st.integers(0, 10**13),
    st.integers(0, 99),
)
def test_what_it_cost_fits(way: str, seconds: float, size: int, layers: int) -> None:
    result = {"way": way, "layers": [{"reused": True}] * layers, "saved": {"bytes": size, "seconds": seconds}}
    assert len(status(build(BuildState.SUCCEEDED, seconds=seconds, result=result)).description) <= 140
    if len(way) < 10:
        assert "…" not in status(build(BuildState.SUCCEEDED, seconds=seconds, result=result)).description


@pytest.mark.parametrize("state", [state for state in BuildState if state is not BuildState.SUCCEEDED])
def test_nothing_but_success_is_green(state: BuildState) -> None:
    shown = status(build(state))
    assert shown.state != "success"
    assert shown.target_url == PAGE


@pytest.mark.parametrize(
    ("fault", "state", "description"),
    [
        (
            {"party": "repository", "message": "no version of nosuchpackage", "file": "requirements.txt", "line": 3},
            "failure",
            "Build failed: requirements.txt line 3: no version of nosuchpackage",
        ),
        (
            {"party": "repository", "message": "postBuild ended with status 1.", "file": "postBuild"},
            "failure",
            "Build failed: postBuild ended with status 1.",
        ),
        (
            {"party": "repository", "message": "the notebook server did not answer", "step": "check"},
            "failure",
            "Build failed: check: the notebook server did not answer",
        ),
        ({"party": "world", "message": "The package index is down."}, "error", "Not built: The package index is down."),
        ({"party": "operator", "message": "The disk is full."}, "error", "Not built: The disk is full."),
        ({"party": "visitor", "message": "No such commit."}, "error", "Not built: No such commit."),
        (None, "error", "Not built: see the log"),
    ],
)
def test_a_failure_says_where_and_whose(fault: dict[str, Any] | None, state: str, description: str) -> None:
    shown = status(build(BuildState.FAILED, fault=fault))
    assert (shown.state, shown.description, shown.target_url) == (state, description, PAGE)


@given(st.text(), st.text(), st.sampled_from(["repository", "world"]))
def test_a_description_fits(message: str, file: str, party: str) -> None:
    shown = status(build(BuildState.FAILED, fault={"party": party, "message": message, "file": file, "line": 3}))
    assert 0 < len(shown.description) <= 140
    assert shown.description.isprintable()


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (preview(head=NEWER), "Superseded by def5678"),
        (preview(live=False), "Cancelled: the pull request was closed"),
        (preview("branch", live=False), "Cancelled: the branch was deleted"),
    ],
)
def test_what_was_stopped_says_why(of: Preview, reason: str) -> None:
    stopped = build(BuildState.SUPERSEDED, fault={"message": end_of(of)})
    assert status(stopped) == Status("error", reason, PAGE)


def test_what_was_stopped_by_somebody_else_says_so() -> None:
    assert status(build(BuildState.SUPERSEDED)) == Status("error", "Superseded", PAGE)
    assert status(build(BuildState.CANCELLED)) == Status("error", "Cancelled", PAGE)


def test_a_fork_waits_and_is_told_when_it_no_longer_does() -> None:
    assert waiting_status().state == "pending"
    assert waiting_status().description.startswith("Waiting for approval")
    assert ended_status(preview(head=NEWER), SHA) == Status("error", "Superseded by def5678", None)
    assert ended_status(preview(live=False), SHA).description == "Cancelled: the pull request was closed"


def test_the_comment_of_a_preview_that_is_ready() -> None:
    assert comment(build(BuildState.SUCCEEDED, result={"layers": THREE})) == (
        f"{COMMENT_MARKER}\n"
        f"**The preview is ready** · [Open the notebook]({LINK})\n"
        "\n"
        f"Commit [`abc1234`](https://github.com/ada/demo/commit/{SHA}) · 12 s, 2 of 3 layers re-used"
        f" · [Log of the build]({PAGE})\n"
    )


def test_the_comment_says_what_became_of_the_preview() -> None:
    assert "The preview is being built" in comment(build(BuildState.QUEUED, seconds=None))
    assert "The preview was removed" in comment(build(BuildState.SUCCEEDED), preview(live=False))
    stopped = build(BuildState.SUPERSEDED, fault={"message": "Superseded by def5678"})
    assert "The preview was not built**\n\n` Superseded by def5678 `\n" in comment(stopped)


def test_the_last_comment_stays_the_same_whatever_is_built_later() -> None:
    gone = preview(live=False)
    title = "**The preview was removed: the pull request is closed**"
    text = f"{COMMENT_MARKER}\n{title}\n\nCommit [`abc1234`](https://github.com/ada/demo/commit/{SHA})\n"
    assert {comment(build(state), gone) for state in BuildState} == {text}


@pytest.mark.parametrize("state", [state for state in BuildState if state is not BuildState.SUCCEEDED])
def test_only_a_preview_that_is_ready_has_a_link(state: BuildState) -> None:
    assert "/v2/gh/" not in comment(build(state))
    assert "/v2/gh/" not in comment(build(BuildState.SUCCEEDED), preview(live=False))


def test_the_comment_stays_the_same_while_a_build_goes_on() -> None:
    queued = comment(build(BuildState.QUEUED, seconds=None))
    assert {queued} == {comment(build(state, seconds=None, started_at=NOW)) for state in ACTIVE_BUILDS}


@given(st.text(max_size=100), st.text(max_size=30))
def test_a_fault_cannot_write_into_the_comment(message: str, file: str) -> None:
    fault = {"party": "repository", "message": message, "file": file, "line": 1}
    text = comment(build(BuildState.FAILED, fault=fault))
    tokens = MarkdownIt("commonmark").parse(text)
    assert [token.type for token in tokens if token.nesting >= 0] == [
        "html_block",
        *("paragraph_open", "inline") * 3,
    ]
    html, *inlines = (token for token in tokens if token.type in {"html_block", "inline"})
    assert html.content.strip() == COMMENT_MARKER
    title, quoted, links = ([child.type for child in inline.children or []] for inline in inlines)
    assert quoted == ["code_inline"]
    assert "html_inline" not in title + links
    assert links.count("link_open") == 2
