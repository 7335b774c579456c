"""What is done about a ref: GitHub's answer counts, whatever a hint said; the owners' policy; and forks wait."""

from dataclasses import replace

import pytest

from binder.lifecycle import DeliveryState
from binder.preview_policy import PreviewPolicy
from githubapp.events import Look
from githubapp.heads import WAITS_FOR_APPROVAL, Decision, Head, Known, decide
from githubapp.values import PullRequest
from tests.githubapp.payloads import OLD_SHA, SHA

ACTED, STALE = DeliveryState.ACTED, DeliveryState.STALE
ANY = PreviewPolicy()
NOTHING = Known()
BRANCH = Look("branch", "main", SHA, 1, None)
PULL = Look("pull", "7", SHA, 1, None)
PROPOSED = PullRequest(7, True, SHA, 1, 1, "ada", "main", OLD_SHA, draft=False, labels=())
FORKED = replace(PROPOSED, head_repository_id=None)
DRAFT = replace(PROPOSED, draft=True)


@pytest.mark.parametrize(
    ("told", "head", "expected"),
    [
        (SHA, SHA, Decision(ACTED, None, SHA, "build")),
        (None, None, Decision(ACTED, "the preview ends", None, "end")),
        (
            SHA,
            OLD_SHA,
            Decision(STALE, "the delivery told of commit bbbbbbb, and now there is commit aaaaaaa", OLD_SHA, "build"),
        ),
        (
            SHA,
            None,
            Decision(
                STALE,
                "the delivery told of commit bbbbbbb, and now there is no such head; the preview ends",
                None,
                "end",
            ),
        ),
        (
            None,
            SHA,
            Decision(STALE, "the delivery told of no such head, and now there is commit bbbbbbb", SHA, "build"),
        ),
    ],
)
def test_the_head_that_github_has_counts(told: str | None, head: str | None, expected: Decision) -> None:
    assert decide(replace(BRANCH, sha=told), Head(head), ANY, NOTHING) == expected


def test_an_event_that_names_no_commit_is_never_stale() -> None:
    look = Look("branch", "main", None, 1, None, sha_known=False)
    assert decide(look, Head(SHA), ANY, NOTHING) == Decision(ACTED, None, SHA, "build")


LABELED = PreviewPolicy(pull_requests="labeled", labels=("preview", "live"))


@pytest.mark.parametrize(
    ("look", "head", "policy", "reason"),
    [
        (BRANCH, Head(SHA), PreviewPolicy(branches=("release/*",)), "binder.yml asks for no previews of this branch"),
        (
            PULL,
            Head(SHA, pull=PROPOSED),
            PreviewPolicy(pull_requests="none"),
            "binder.yml asks for no previews of pull requests",
        ),
        (PULL, Head(SHA, pull=PROPOSED), LABELED, "binder.yml asks for one of the labels preview, live"),
        (PULL, Head(SHA, pull=FORKED), PreviewPolicy(forks="never"), "binder.yml asks for no previews of forks"),
    ],
)
def test_what_its_owners_want_no_preview_of_has_none(
    look: Look, head: Head, policy: PreviewPolicy, reason: str
) -> None:
    known = Known(is_wanted=True, approved_sha=SHA)
    for asked in (False, True):
        decision = decide(look, head, policy, known, asked=asked)
        assert decision == Decision(ACTED, f"{reason}; the preview ends", SHA, "end", reason)


@pytest.mark.parametrize(
    ("look", "head", "policy"),
    [
        (BRANCH, Head(SHA), PreviewPolicy(branches=("main",), pull_requests="none")),
        (PULL, Head(SHA, pull=PROPOSED), PreviewPolicy(branches=("other",), forks="never")),
        (PULL, Head(SHA, pull=replace(PROPOSED, labels=("bug", "live"))), LABELED),
        (PULL, Head(SHA, pull=DRAFT), ANY),
        (BRANCH, Head(SHA, changed=["x/a.ipynb"]), PreviewPolicy(paths=("*.ipynb",))),
        (BRANCH, Head(SHA, changed=None), PreviewPolicy(paths=("*.ipynb",))),
    ],
)
def test_what_is_wanted_is_built(look: Look, head: Head, policy: PreviewPolicy) -> None:
    assert decide(look, head, policy, NOTHING) == Decision(ACTED, None, SHA, "build")


HELD = [
    (BRANCH, Head(SHA, message="Typo [Skip Binder]\n\nMore"), ANY, NOTHING, "the commit's message says [skip binder]"),
    (PULL, Head(SHA, "[binder skip] x", PROPOSED), ANY, NOTHING, "the commit's message says [skip binder]"),
    (
        PULL,
        Head(SHA, pull=DRAFT),
        PreviewPolicy(drafts=False),
        NOTHING,
        "drafts wait until they are ready for review",
    ),
    (
        BRANCH,
        Head(SHA, changed=["README.md"]),
        PreviewPolicy(paths=("*.ipynb",)),
        NOTHING,
        "no file changed that `paths` in binder.yml names",
    ),
    (BRANCH, Head(SHA), ANY, Known(cancelled_by="ada"), "cancelled by ada"),
]


@pytest.mark.parametrize(("look", "head", "policy", "known", "reason"), HELD)
def test_what_is_held(look: Look, head: Head, policy: PreviewPolicy, known: Known, reason: str) -> None:
    assert decide(look, head, policy, known) == Decision(ACTED, reason, SHA, "hold", reason)


@pytest.mark.parametrize(("look", "head", "policy", "known", "reason"), HELD)
def test_what_is_held_is_built_when_somebody_asks_or_did(
    look: Look, head: Head, policy: PreviewPolicy, known: Known, reason: str
) -> None:
    built = Decision(ACTED, None, SHA, "build")
    assert decide(look, head, policy, known, asked=True) == built
    assert decide(look, head, policy, replace(known, is_wanted=True)) == built


@pytest.mark.parametrize("known", [NOTHING, Known(is_wanted=True), Known(approved_sha=OLD_SHA)])
@pytest.mark.parametrize("asked", [False, True])
def test_a_fork_waits_until_this_very_commit_is_allowed(known: Known, asked: bool) -> None:
    head = Head(SHA, pull=FORKED)
    held = Decision(ACTED, WAITS_FOR_APPROVAL, SHA, "hold", WAITS_FOR_APPROVAL)
    assert decide(PULL, head, ANY, known, asked=asked) == held
    assert decide(PULL, head, ANY, Known(approved_sha=SHA), asked=asked) == Decision(ACTED, None, SHA, "build")


def test_a_notice_is_told_with_the_reason() -> None:
    assert decide(BRANCH, Head(SHA), ANY, NOTHING, notice="binder.yml is wrong").reason == "binder.yml is wrong"
    assert decide(BRANCH, Head(None), ANY, NOTHING, notice="x").held is None
