"""How far a launch is."""

import pytest

from binder.lifecycle import BuildState
from proxy.progress import STATE_WORDS, End, progress_of


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
    steps = progress_of(state, has_standby=False, is_coming=True).steps
    assert [step.status for step in steps] == statuses.split()


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
    assert progress_of(state, has_standby=has_standby, is_coming=is_coming).end == end


def test_every_state_has_a_word() -> None:
    assert STATE_WORDS.keys() == set(BuildState)
