"""What went wrong between GitHub and us, and when it may be tried again: pure functions over answers and errors.

WorldFault
└── GitHubUnavailableError    trying again helps: time-outs, 5xx, rate limits
OperatorFault
├── GitHubSignInError         the App's own key, id or clock is not accepted: helps once the operator mends it
└── GitHubRefusalError        the same request gets the same answer: gone, not permitted, not valid
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import requests
from github import BadAttributeException, GithubException

from binder.errors import BinderError, OperatorFault, WorldFault

# Source: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
_UNTOLD_LIMIT_SECONDS = 60.0
_LIMITED = re.compile(r"rate limit|abuse detection|retry your request again later|wait a few minutes", re.IGNORECASE)
_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 900.0
_LONGEST_TOLD_SECONDS = 4000.0
_LONGEST_QUOTE = 200


class GitHubUnavailableError(WorldFault):
    """GitHub could not answer now. `limited`: it asked this installation to wait, `retry_after_seconds` long."""

    def __init__(self, message: str, *, retry_after_seconds: float = 0.0, limited: bool = False) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.limited = limited


class GitHubSignInError(OperatorFault):
    """GitHub does not accept who we say we are."""


class GitHubRefusalError(OperatorFault):
    """GitHub said no, and would say so again; `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


# All that a call of PyGithub raises where GitHub, or the way to it, did not do what it should.
WRONG_ANSWERS: tuple[type[Exception], ...] = (
    GithubException,
    requests.RequestException,
    OSError,
    BadAttributeException,
    ValueError,  # an answer that is not the JSON that it says it is
    RuntimeError,  # a redirect to another host
    AssertionError,  # an address on another host
)


def fault_of(error: Exception, now: datetime) -> BinderError:
    """Return whose fault one of the `WRONG_ANSWERS` is."""
    if isinstance(error, GithubException):
        return _fault_of_answer(error, now)
    if isinstance(error, requests.Timeout):
        return GitHubUnavailableError("GitHub did not answer in time.")
    if isinstance(error, OSError):  # as all errors of requests are
        return GitHubUnavailableError("GitHub could not be reached.")
    return GitHubUnavailableError("GitHub's answer could not be understood.")


def _fault_of_answer(error: GithubException, now: datetime) -> BinderError:
    status = error.status
    headers = {name.lower(): str(value) for name, value in (error.headers or {}).items()}
    said = _message_of(error)
    if status == 429 or (status == 403 and _is_limit(headers, said)):
        seconds = _told_seconds(headers, now)
        return GitHubUnavailableError(
            "GitHub's rate limit is reached.", retry_after_seconds=seconds or _UNTOLD_LIMIT_SECONDS, limited=True
        )
    if status == 401:
        return GitHubSignInError(
            f"GitHub does not accept the App's credentials ({said}): check BINDER_GITHUB_APP_ID, "
            "BINDER_GITHUB_PRIVATE_KEY_FILE and this machine's clock."
        )
    if status == 408 or status >= 500 or status < 400:
        return GitHubUnavailableError(f"GitHub answered {status}.", retry_after_seconds=_told_seconds(headers, now))
    return GitHubRefusalError(f"GitHub answered {status}: {said}", status)


def _message_of(error: GithubException) -> str:
    """Return GitHub's sentence, and what it says about single fields."""
    data: Any = error.data
    if not isinstance(data, Mapping):
        return "no reason given"
    reasons = [data.get("message")]
    reasons += [one.get("message") or one.get("code") for one in data.get("errors") or () if isinstance(one, Mapping)]
    text = "; ".join(" ".join(one.split()) for one in reasons if isinstance(one, str))
    return text[:_LONGEST_QUOTE] or "no reason given"


def _is_limit(headers: Mapping[str, str], message: str) -> bool:
    """Whether a 403 is about how much was asked, not about who asked."""
    return "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0" or bool(_LIMITED.search(message))


def _told_seconds(headers: Mapping[str, str], now: datetime) -> float:
    """Return how long GitHub asks to wait, 0 where it does not say."""
    after, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    seconds = 0.0
    if after.isdigit():
        seconds = float(after[:9])
    elif headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        seconds = float(reset[:12]) - now.timestamp() + 1
    return min(max(seconds, 0.0), _LONGEST_TOLD_SECONDS)


def pause_seconds(error: BinderError, attempts: int) -> float:
    """Return how long to wait after the attempt number `attempts` failed with `error`."""
    told = error.retry_after_seconds if isinstance(error, GitHubUnavailableError) else 0.0
    return max(told, min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 20)))
