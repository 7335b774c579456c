"""What follows a click, case by case."""

from datetime import UTC, datetime, timedelta

import pytest

from binder.lifecycle import BuildState
from binder.store.queries import ACTIVE_BUILDS
from binder.store.tables import Build
from proxy.launch import (
    BuildFailed,
    Busy,
    ClaimStandby,
    Crowded,
    Decision,
    FailedStart,
    LaunchFacts,
    Places,
    QueueBuild,
    StartFailed,
    StartSession,
    Wait,
    decide,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def build(state: BuildState, *, party: str | None = None, ended_ago: float = 0) -> Build:
    """Return a build that ended so many seconds ago."""
    fault = {"party": party, "message": "no"} if party else None
    return Build(id=1, state=state, fault=fault, finished_at=NOW - timedelta(seconds=ended_ago))


def test_a_commit_that_was_never_built_is_queued() -> None:
    assert decide(LaunchFacts(None), NOW) == QueueBuild(again=False)


@pytest.mark.parametrize("state", [BuildState.SUPERSEDED, BuildState.CANCELLED])
def test_a_build_that_was_stopped_is_queued_again(state: BuildState) -> None:
    assert decide(LaunchFacts(build(state)), NOW) == QueueBuild(again=False)


@pytest.mark.parametrize("state", ACTIVE_BUILDS)
def test_a_build_that_runs_is_waited_for(state: BuildState) -> None:
    assert decide(LaunchFacts(build(state)), NOW) == Wait()


@pytest.mark.parametrize(
    ("party", "ended_ago", "expected"),
    [
        ("repository", 0, BuildFailed()),
        ("repository", 10_000, BuildFailed()),
        ("world", 60, BuildFailed()),
        ("world", 121, QueueBuild(again=True)),
        ("operator", 121, QueueBuild(again=True)),
    ],
)
def test_a_failed_build_stands_unless_it_was_not_the_repositorys_fault(
    party: str, ended_ago: float, expected: Decision
) -> None:
    assert decide(LaunchFacts(build(BuildState.FAILED, party=party, ended_ago=ended_ago)), NOW) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"standby": "s1", "is_coming": True, "live_sessions": 9}, ClaimStandby("s1")),
        ({"is_coming": True, "live_sessions": 9}, Wait()),
        ({"live_sessions": 4}, StartSession()),
        ({"live_sessions": 5}, Busy()),
        ({"standby": "s1", "open_of_repository": 2}, ClaimStandby("s1")),
        ({"standby": "s1", "open_of_repository": 3}, Crowded()),
        ({"open_of_repository": 3}, Crowded()),
        ({"failed_start": FailedStart("no kernel", NOW - timedelta(seconds=59))}, StartFailed("no kernel")),
        ({"failed_start": FailedStart("no kernel", NOW - timedelta(seconds=60))}, StartSession()),
    ],
)
def test_an_image_that_is_there_is_opened_as_soon_as_may_be(facts: dict[str, object], expected: Decision) -> None:
    succeeded = build(BuildState.SUCCEEDED)
    assert decide(LaunchFacts(succeeded, places=Places(5, 3), **facts), NOW) == expected  # type: ignore[arg-type]
