"""How far a launch is."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from binder.lifecycle import BuildState
from binder.store.tables import Build
from proxy.progress import STATE_WORDS, End, Past, Progress, progress_of, words_of_state

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
WHOLE = Past({"fetch": 1, "plan": 1, "environment": 30, "content": 8}, 50, frozenset({"environment", "content"}))
SHORT = Past({"fetch": 1, "plan": 0.5, "content": 0.5}, 4, frozenset({"content"}))


def at(
    state: BuildState, seconds: float = 0, past: Sequence[Past] = (), result: dict[str, Any] | None = None
) -> Progress:
    """Return how far a build is, `seconds` after it was started."""
    build = Build(state=state, started_at=NOW, result=result)
    return progress_of(build, past, NOW + timedelta(seconds=seconds), has_standby=False, is_coming=True)


def layers(*made: str) -> dict[str, Any]:
    """Return the result of a build that is to make these layers, and re-uses the others."""
    return {"layers": [{"kind": kind, "reused": kind not in made} for kind in ("base", "environment", "content")]}


@pytest.mark.parametrize(
    ("state", "statuses"),
    [
        (BuildState.QUEUED, "now later later later later"),
        (BuildState.BUILDING, "done done now later later"),
        (BuildState.CHECKING, "done done done done now"),
        (BuildState.SUCCEEDED, "done done done done now"),
    ],
)
def test_steps_follow_the_build(state: BuildState, statuses: str) -> None:
    assert [step.status for step in at(state).steps] == statuses.split()


@pytest.mark.parametrize(
    ("titles", "label"),
    [
        ([], "Starting the notebook server"),
        (["Redis"], "Starting the notebook server with Redis"),
        (["PostgreSQL", "Redis", "S3"], "Starting the notebook server with PostgreSQL, Redis and S3"),
    ],
)
def test_what_is_started_with_the_notebook_is_said(titles: list[str], label: str) -> None:
    result = {"modules": [{"title": title} for title in titles]}
    assert at(BuildState.CHECKING, result=result).steps[-1].label == label


@pytest.mark.parametrize(
    ("state", "has_standby", "is_coming", "end"),
    [
        (BuildState.BUILDING, False, False, None),
        # A standby of a build that is still being checked belongs to the check.
        (BuildState.CHECKING, True, False, None),
        (BuildState.SUCCEEDED, True, False, "ready"),
        (BuildState.SUCCEEDED, True, True, "ready"),
        (BuildState.SUCCEEDED, False, True, None),
        (BuildState.SUCCEEDED, False, False, "again"),
        (BuildState.FAILED, False, False, "failed"),
        (BuildState.SUPERSEDED, False, False, "again"),
        (BuildState.CANCELLED, False, False, "again"),
    ],
)
def test_the_end_says_what_the_browser_does_next(
    state: BuildState, has_standby: bool, is_coming: bool, end: End | None
) -> None:
    build = Build(state=state, started_at=NOW)
    assert progress_of(build, (), NOW, has_standby=has_standby, is_coming=is_coming).end == end


def test_notebooks_that_run_are_told_in_the_last_step() -> None:
    build = Build(state=BuildState.CHECKING, started_at=NOW, awaits_check=True)
    steps = progress_of(build, (), NOW, has_standby=False, is_coming=False).steps
    assert [(step.label, step.status) for step in steps][-1] == ("Running its notebooks", "now")
    assert words_of_state(build) == "Running its notebooks"


def test_every_state_has_a_word() -> None:
    assert STATE_WORDS.keys() == set(BuildState)


@pytest.mark.parametrize(
    ("state", "seconds", "percent"),
    [
        (BuildState.QUEUED, 30, 0),
        (BuildState.FETCHING, 1, 2),
        (BuildState.FETCHING, 40, 4),  # fetching takes long today: what follows is not done by that
        (BuildState.BUILDING, 0, 4),
        (BuildState.BUILDING, 25, 50),
        (BuildState.BUILDING, 900, 80),
        (BuildState.PUSHING, 10, 80),
        (BuildState.CHECKING, 45, 90),
        (BuildState.CHECKING, 900, 99),
        (BuildState.SUCCEEDED, 50, None),
        (BuildState.FAILED, 50, None),
    ],
)
def test_the_share_follows_earlier_builds_and_the_state(state: BuildState, seconds: float, percent: int | None) -> None:
    assert at(state, seconds, [WHOLE]).percent == percent


def test_it_is_measured_by_builds_that_had_as_much_to_do() -> None:
    past = [SHORT, SHORT, WHOLE]
    unknown, short = at(BuildState.BUILDING, 3, past), at(BuildState.BUILDING, 3, past, layers("content"))
    assert (unknown.percent, unknown.facts) == (50, "Usually 4.0 s")
    assert (short.percent, short.facts) == (50, "Usually 4.0 s; 2 of 3 layers re-used")
    whole = at(BuildState.BUILDING, 3, past, layers("environment", "content"))
    assert (whole.percent, whole.facts) == (6, "Last time 50 s; 1 of 3 layers re-used")
    other = at(BuildState.BUILDING, 3, past, layers("base", "environment", "content"))
    assert (other.percent, other.facts) == (None, "0 of 3 layers re-used")


def test_without_earlier_builds_nothing_is_said() -> None:
    assert (at(BuildState.BUILDING, 3).percent, at(BuildState.BUILDING, 3).facts) == (None, "")


def test_builds_that_took_no_time_measure_too() -> None:
    assert at(BuildState.BUILDING, 3, [Past({}, 0, frozenset())]).percent == 0
