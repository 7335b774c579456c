"""Whose fault GitHub's answers are, and when to try again."""

from datetime import UTC, datetime

import pytest
import requests
from github import GithubException

from binder.errors import OperatorFault, WorldFault
from githubapp.faults import GitHubRefusalError, GitHubSignInError, GitHubUnavailableError, fault_of, pause_seconds

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def answer(status: int, message: str = "No", **headers: str) -> GithubException:
    return GithubException(
        status, {"message": message}, {name.replace("_", "-"): said for name, said in headers.items()}
    )


def test_the_parties_are_the_worlds_and_the_operators() -> None:
    assert isinstance(fault_of(answer(500), NOW), WorldFault)
    assert isinstance(fault_of(answer(401), NOW), OperatorFault)
    assert isinstance(fault_of(answer(403), NOW), OperatorFault)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "30"}, 30),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 60),
        ({"retry_after": "999999999999"}, 4000),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int(NOW.timestamp()) + 120)}, 121),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int(NOW.timestamp()) - 120)}, 60),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "never"}, 60),
        ({"x_ratelimit_remaining": "12", "x_ratelimit_reset": str(int(NOW.timestamp()) + 120)}, 60),
    ],
)
def test_how_long_a_limit_lasts(headers: dict[str, str], seconds: float) -> None:
    fault = fault_of(answer(429, **headers), NOW)
    assert isinstance(fault, GitHubUnavailableError)
    assert (fault.limited, fault.retry_after_seconds) == (True, seconds)


def test_a_permission_that_is_missing_is_no_limit() -> None:
    missing = answer(403, "Resource not accessible by integration", x_ratelimit_remaining="4999")
    assert isinstance(fault_of(missing, NOW), GitHubRefusalError)


def test_maintenance_may_say_how_long_it_lasts() -> None:
    fault = fault_of(answer(503, retry_after="300"), NOW)
    assert pause_seconds(fault, 1) == 300


def test_a_redirect_that_was_not_followed_is_no_success() -> None:
    assert isinstance(fault_of(answer(304), NOW), GitHubUnavailableError)


def test_a_reason_is_one_line_and_not_too_long() -> None:
    fault = fault_of(answer(422, "Validation\n Failed " + "x" * 1000), NOW)
    assert fault.message.startswith("GitHub answered 422: Validation Failed x")
    assert len(fault.message) < 250


@pytest.mark.parametrize("data", [None, [], "text", {"message": None}, {"errors": ["text"]}, {"data": "<html>"}])
def test_an_answer_without_a_reason(data: object) -> None:
    fault = fault_of(GithubException(422, data, None), NOW)
    assert fault.message == "GitHub answered 422: no reason given"


def test_the_network_is_nobodys_fault() -> None:
    assert "in time" in fault_of(requests.ReadTimeout(), NOW).message
    assert "reached" in fault_of(requests.ConnectionError(), NOW).message


def test_pauses_grow_up_to_a_quarter_of_an_hour() -> None:
    down = GitHubUnavailableError("down")
    pauses = [pause_seconds(down, attempt) for attempt in range(1, 13)]
    assert pauses[:4] == [2, 4, 8, 16]
    assert pauses == sorted(pauses)
    assert pauses[-1] == pause_seconds(down, 10_000) == 900


def test_a_pause_is_never_shorter_than_github_asks_for() -> None:
    assert pause_seconds(GitHubUnavailableError("limit", retry_after_seconds=3600, limited=True), 1) == 3600
    assert pause_seconds(GitHubSignInError("who"), 1) == 2
