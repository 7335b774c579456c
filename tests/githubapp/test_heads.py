"""What is done about a ref: GitHub's answer counts, whatever the delivery said."""

import pytest

from binder.lifecycle import DeliveryState
from githubapp.events import Look
from githubapp.heads import Head, decide
from tests.githubapp.payloads import OLD_SHA, SHA


def look(sha: str | None) -> Look:
    return Look("branch", "main", sha, 1, None)


@pytest.mark.parametrize(
    ("told", "head", "state", "reason", "sha", "build"),
    [
        (SHA, Head(SHA), DeliveryState.ACTED, None, SHA, True),
        (None, Head(None), DeliveryState.ACTED, "the preview ends", None, False),
        (
            SHA,
            Head(OLD_SHA),
            DeliveryState.STALE,
            "the delivery told of commit bbbbbbb, and now there is commit aaaaaaa",
            OLD_SHA,
            True,
        ),
        (
            SHA,
            Head(None),
            DeliveryState.STALE,
            "the delivery told of commit bbbbbbb, and now there is no such head; the preview ends",
            None,
            False,
        ),
        (
            None,
            Head(SHA),
            DeliveryState.STALE,
            "the delivery told of no such head, and now there is commit bbbbbbb",
            SHA,
            True,
        ),
        (
            SHA,
            Head(SHA, is_from_fork=True),
            DeliveryState.ACTED,
            "commits from forks wait for approval",
            SHA,
            False,
        ),
    ],
)
def test_decide(
    told: str | None, head: Head, state: DeliveryState, reason: str | None, sha: str | None, build: bool
) -> None:
    decision = decide(look(told), head)
    assert (decision.state, decision.reason, decision.sha, decision.build) == (state, reason, sha, build)


def test_an_event_that_names_no_commit_cannot_be_stale() -> None:
    created = Look("branch", "main", None, 1, None, sha_known=False)
    assert decide(created, Head(SHA)).state is DeliveryState.ACTED
