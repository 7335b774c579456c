"""What to do about a ref, given what a hint told of it, what GitHub says now and what the store knows: pure.

A hint is only that: whatever it says, the head that GitHub has now is what counts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from binder.lifecycle import DeliveryState
from binder.preview_policy import PreviewPolicy
from githubapp.events import Look
from githubapp.values import PullRequest

WAITS_FOR_APPROVAL = "commits from forks wait for approval"
"""Why a fork's commit is held that somebody with write access may still allow."""

Action: TypeAlias = Literal["build", "hold", "end"]

_LONGEST_LABELS = 200
_SKIP = re.compile(r"\[(?:skip binder|binder skip)\]", re.IGNORECASE)


@dataclass(frozen=True)
class Head:
    """What a ref is at now. `sha` is None where it has ended: deleted, closed, or not there any more.

    `message` is the commit's; `pull` is None for a branch; `changed` are the paths that it changes of the last commit
    that was built well, None where that is not known.
    """

    sha: str | None
    message: str = ""
    pull: PullRequest | None = None
    changed: Sequence[str] | None = None


@dataclass(frozen=True)
class Known:
    """What the store knows of a head: `is_wanted` where a build of it succeeded or is on its way.

    `approved_sha` is the commit of a fork that somebody allowed; `cancelled_by` is who said that this one is not to be
    built.
    """

    is_wanted: bool = False
    approved_sha: str | None = None
    cancelled_by: str | None = None


@dataclass(frozen=True)
class Decision:
    """What becomes of a hint, with a reason where it is not the usual one, and of its ref.

    `sha` is the head, None where there is none; `action` says whether it is built, kept as it is, or its preview ends;
    `held` says why it is not built, None where it is.
    """

    state: DeliveryState
    reason: str | None
    sha: str | None
    action: Action
    held: str | None = None


def decide(
    look: Look, head: Head, policy: PreviewPolicy, known: Known, *, asked: bool = False, notice: str | None = None
) -> Decision:
    """Return what to do about the ref that `look` names and that is at `head`.

    `asked`: somebody with write access wants this very head built. `notice` is told with the reason.
    """
    state, reasons = DeliveryState.ACTED, list[str]()
    if look.sha_known and head.sha != look.sha:
        state = DeliveryState.STALE
        reasons.append(f"the delivery told of {_named(look.sha)}, and now there is {_named(head.sha)}")
    action, held = _action(look, head, policy, known, asked=asked)
    if held:
        reasons.append(held)
    if action == "end":
        reasons.append("the preview ends")
    if notice:
        reasons.append(notice)
    return Decision(state, "; ".join(reasons) or None, head.sha, action, held)


def _action(look: Look, head: Head, policy: PreviewPolicy, known: Known, *, asked: bool) -> tuple[Action, str | None]:
    if head.sha is None:
        return "end", None
    if unwanted := _unwanted(look, head, policy):
        return "end", unwanted
    if head.pull and head.pull.is_from_fork and known.approved_sha != head.sha:
        return "hold", WAITS_FOR_APPROVAL
    if not asked and not known.is_wanted and (held := _held(head, policy, known)):
        return "hold", held
    return "build", None


def _unwanted(look: Look, head: Head, policy: PreviewPolicy) -> str | None:
    """Return why the repository's owners want no preview of this ref."""
    if head.pull is None:
        return None if policy.wants_branch(look.ref) else "binder.yml asks for no previews of this branch"
    if policy.pull_requests == "none":
        return "binder.yml asks for no previews of pull requests"
    if policy.pull_requests == "labeled" and not set(policy.labels) & set(head.pull.labels):
        return f"binder.yml asks for one of the labels {', '.join(policy.labels)[:_LONGEST_LABELS]}"
    if policy.forks == "never" and head.pull.is_from_fork:
        return "binder.yml asks for no previews of forks"
    return None


def _held(head: Head, policy: PreviewPolicy, known: Known) -> str | None:
    """Return why nobody wants this commit built, for now."""
    if known.cancelled_by:
        return f"cancelled by {known.cancelled_by}"
    if _SKIP.search(head.message):
        return "the commit's message says [skip binder]"
    if head.pull and head.pull.draft and not policy.drafts:
        return "drafts wait until they are ready for review"
    if head.changed is not None and not policy.wants_change(head.changed):
        return "no file changed that `paths` in binder.yml names"
    return None


def _named(sha: str | None) -> str:
    return f"commit {sha[:7]}" if sha else "no such head"
