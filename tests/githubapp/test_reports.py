"""The words that GitHub shows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.lifecycle import BuildState
from binder.store.queries import ACTIVE_BUILDS
from binder.store.tables import Build, Preview
from githubapp.heads import WAITS_FOR_APPROVAL
from githubapp.reports import (
    end_of,
    ended_status,
    is_waiting,
    status_of,
)
from githubapp.values import Status
from tests.githubapp.shown import ADDRESSES, LINK, NEWER, PAGE, SHA, THREE, build, facts, preview


def status(row: Build, *previews: Preview) -> Status:
    shown = status_of(facts(row, *previews), ADDRESSES)
    assert shown
    return shown


@pytest.mark.parametrize("state", ACTIVE_BUILDS)
def test_a_build_that_goes_on_says_one_of_two_things(state: BuildState) -> None:
    assert status(build(state, seconds=None)) == Status("pending", "Queued", PAGE)
    planned = build(state, seconds=None, result={"layers": THREE})
    assert status(planned) == Status("pending", "Building: 2 of 3 layers re-used", PAGE)


@pytest.mark.parametrize(
    ("seconds", "result", "description"),
    [
        (12.4, {"layers": THREE}, "(12 s, 2 of 3 layers re-used)"),
        (2.54, {"way": "content", "layers": THREE}, "(2.5 s, only files changed, 2 of 3 layers re-used)"),
        (0.2, {"way": "nothing"}, "(0.2 s, image was there already)"),
        (192.0, {"way": "full", "layers": []}, "(3 min 12 s, built whole)"),
        (None, {"layers": THREE[:1]}, "(1 of 1 layers re-used)"),
        (None, None, ""),
    ],
)
def test_success_opens_the_notebook_and_says_what_it_cost(
    seconds: float | None, result: dict[str, Any] | None, description: str
) -> None:
    shown = status(build(BuildState.SUCCEEDED, seconds=seconds, result=result))
    assert shown == Status("success", f"Ready \N{EN DASH} open the notebook {description}".strip(), LINK)


def test_success_opens_the_first_notebook_that_a_pull_request_changes() -> None:
    changes = preview(facts={"notebooks": ["a b/ü?.ipynb", "second.ipynb"]})
    opened = status(build(BuildState.SUCCEEDED), preview("branch"), changes).target_url
    assert opened == LINK.replace("urlpath=lab", "labpath=a%20b/%C3%BC%3F.ipynb")
    assert status(build(BuildState.SUCCEEDED), preview(live=False, facts=changes.facts)).target_url == LINK


@given(
    st.sampled_from(["nothing", "content", "delta", "full", "x" * 200]),
    st.floats(0, 1e6),
    st.integers(0, 99),
)
def test_what_it_cost_fits(way: str, seconds: float, layers: int) -> None:
    result = {"way": way, "layers": [{"reused": True}] * layers}
    assert len(status(build(BuildState.SUCCEEDED, seconds=seconds, result=result)).description) <= 140
    if len(way) < 10:
        assert "…" not in status(build(BuildState.SUCCEEDED, seconds=seconds, result=result)).description


@pytest.mark.parametrize("state", [state for state in BuildState if state is not BuildState.SUCCEEDED])
def test_nothing_but_success_is_green(state: BuildState) -> None:
    shown = status(build(state))
    assert shown.state != "success"
    assert (shown.target_url or "").startswith(PAGE)


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
    assert (shown.state, shown.description, shown.target_url) == (state, description, f"{PAGE}#at-fault")


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


def waiting(**more: Any) -> Preview:
    return preview(from_fork=True, held=WAITS_FOR_APPROVAL, **more)


def test_a_fork_waits_and_says_how_it_is_allowed() -> None:
    shown = status_of(facts(None, waiting()), ADDRESSES)
    assert shown == Status(
        "pending",
        "Waiting for approval: somebody with write access may allow it with /ok-to-test abc1234",
        "https://github.com/ada/demo/pull/12",
    )


@pytest.mark.parametrize(
    ("of", "waits"),
    [
        (waiting(), True),
        (waiting(live=False), False),
        (preview(from_fork=True, approved_sha=SHA), False),
        (preview(from_fork=True, held="forks are never built here"), False),
        (preview("branch", held="[skip binder] is in its message"), False),
    ],
)
def test_who_waits_for_approval(of: Preview, waits: bool) -> None:
    assert is_waiting(of) is waits


def test_a_commit_whose_build_was_stopped_waits_again() -> None:
    stopped = build(BuildState.SUPERSEDED, fault={"message": "Superseded by def5678"})
    assert facts(stopped, waiting()).standing == "waiting"
    assert facts(build(BuildState.SUCCEEDED), waiting()).standing == "ready"


def test_nothing_is_said_of_what_is_not_built_but_where_something_was_pending() -> None:
    held = facts(None, preview(held="[skip binder] is in its message"))
    assert (held.standing, status_of(held, ADDRESSES)) == ("held", None)
    assert ended_status(held.live[0], SHA) == Status("error", "Not built: [skip binder] is in its message", None)
    assert status_of(facts(None), ADDRESSES) is None


def test_what_waited_is_told_when_it_no_longer_does() -> None:
    assert ended_status(preview(head=NEWER), SHA) == Status("error", "Superseded by def5678", None)
    assert ended_status(preview(live=False), SHA).description == "Cancelled: the pull request was closed"
