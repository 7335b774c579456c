"""What to do about a ref, given what a delivery told of it and what GitHub says now: pure.

A delivery is a hint: whatever it says, the head that GitHub has now is what counts.
"""

from dataclasses import dataclass

from binder.lifecycle import DeliveryState
from githubapp.events import Look

WAITS_FOR_APPROVAL = "commits from forks wait for approval"
"""Why a fork's commit is held that somebody with write access may still allow."""


@dataclass(frozen=True)
class Head:
    """What a ref is at now. `sha` is None where it has ended: deleted, closed, or not there any more."""

    sha: str | None
    is_from_fork: bool = False


@dataclass(frozen=True)
class Decision:
    """What becomes of a delivery, with a reason where it is not the usual one, and of its ref.

    `sha` is the head to keep live, None where the preview ends; `build` says whether it is built unasked.
    """

    state: DeliveryState
    reason: str | None
    sha: str | None
    build: bool


def decide(look: Look, head: Head) -> Decision:
    """Return what to do about the ref that `look` names and that is at `head`."""
    reasons = []
    state = DeliveryState.ACTED
    if head.sha != look.sha:
        state = DeliveryState.STALE
        reasons.append(f"the delivery told of {_named(look.sha)}, and now there is {_named(head.sha)}")
    if head.sha is None:
        reasons.append("the preview ends")
    elif head.is_from_fork:
        reasons.append(WAITS_FOR_APPROVAL)
    return Decision(state, "; ".join(reasons) or None, head.sha, build=head.sha is not None and not head.is_from_fork)


def _named(sha: str | None) -> str:
    return f"commit {sha[:7]}" if sha else "no such head"
