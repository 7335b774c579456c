"""What each event hints at, and what is kept of it."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from githubapp.events import (
    URGENT_EVENTS,
    AccessLook,
    Button,
    Command,
    Hint,
    Ignored,
    InstallationLook,
    Look,
    Refusal,
    RepositoryLook,
    SignInRevoked,
    hint_of,
    kept,
)
from tests.githubapp import payloads
from tests.githubapp.payloads import APP_ID, INSTALLATION_ID, REPOSITORY_ID, SHA

BRANCH = Look("branch", "main", SHA, REPOSITORY_ID, None)
PULL = Look("pull", "7", SHA, REPOSITORY_ID, INSTALLATION_ID, "ada")
PULL_ENDED = Look("pull", "7", None, REPOSITORY_ID, INSTALLATION_ID, "ada")
BRANCH_CREATED = Look("branch", "main", None, REPOSITORY_ID, INSTALLATION_ID, "ada", sha_known=False)
BRANCH_DELETED = Look("branch", "main", None, REPOSITORY_ID, INSTALLATION_ID, "ada")
FORK = {"id": 9, "fork": True}
BASE = {"base": {"ref": {"from": "main"}, "sha": {"from": SHA}}}
BY_ADA = (REPOSITORY_ID, INSTALLATION_ID)


def hint(name: str, payload: dict[str, Any]) -> Hint:
    return hint_of(name, kept(payload), APP_ID)


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("push", payloads.push(), BRANCH),
        ("push", payloads.push("refs/heads/feature/ünï"), Look("branch", "feature/ünï", SHA, REPOSITORY_ID, None)),
        (
            "push",
            payloads.push(**payloads.by_ada()),
            Look("branch", "main", SHA, REPOSITORY_ID, INSTALLATION_ID, "ada"),
        ),
        ("push", payloads.deletion(), Look("branch", "main", None, REPOSITORY_ID, None)),
        ("push", payloads.push(deleted=None), BRANCH),
        ("create", payloads.branch(), BRANCH_CREATED),
        ("delete", payloads.branch(), BRANCH_DELETED),
        ("pull_request", payloads.pull_request("opened", head_repository=payloads.repository()), PULL),
        ("pull_request", payloads.pull_request("reopened", head_repository=FORK), PULL),
        ("pull_request", payloads.pull_request("synchronize", head_repository=None), PULL),
        ("pull_request", payloads.pull_request("edited", changes=BASE), PULL),
        ("pull_request", payloads.pull_request("closed"), PULL_ENDED),
        ("pull_request", payloads.pull_request("ready_for_review"), PULL),
        ("pull_request", payloads.pull_request("converted_to_draft"), PULL),
        ("pull_request", payloads.pull_request("labeled"), PULL),
        ("pull_request", payloads.pull_request("unlabeled"), PULL),
    ],
)
def test_an_event_says_which_ref_to_look_at(name: str, payload: dict[str, Any], expected: Look) -> None:
    assert hint(name, payload) == expected


@pytest.mark.parametrize(
    "action", ["renamed", "transferred", "privatized", "publicized", "archived", "unarchived", "deleted"]
)
def test_what_happens_to_a_repository_has_it_looked_at(action: str) -> None:
    assert hint("repository", payloads.of_repository(action)) == RepositoryLook(*BY_ADA, action)


def test_of_an_edited_repository_only_the_default_branch_counts() -> None:
    moved = payloads.of_repository("edited", changes={"default_branch": {"from": "master"}})
    assert hint("repository", moved) == RepositoryLook(*BY_ADA, "edited")
    described = payloads.of_repository("edited", changes={"description": {"from": "old"}})
    assert hint("repository", described) == Ignored("the repository was edited, but not its default branch")


@pytest.mark.parametrize(
    ("name", "action"),
    [
        *(("installation", one) for one in ("created", "deleted", "suspend", "unsuspend", "new_permissions_accepted")),
        ("installation_repositories", "added"),
        ("installation_repositories", "removed"),
        ("installation_target", "renamed"),
    ],
)
def test_what_happens_to_an_installation_has_it_looked_at(name: str, action: str) -> None:
    assert hint(name, {"action": action, **payloads.by_ada()}) == InstallationLook(INSTALLATION_ID, action)


@pytest.mark.parametrize(
    ("body", "word", "argument"),
    [
        (f"/ok-to-test {SHA}", "ok-to-test", SHA),
        ("/ok-to-test  ABCDEF0", "ok-to-test", "abcdef0"),
        ("/ok-to-test", "ok-to-test", None),
        ("/binder build", "build", None),
        ("/binder cancel\r\nIt takes too long.", "cancel", None),
        ("/binder\tstop \nThank you!", "stop", None),
    ],
)
def test_a_command_is_the_first_line_of_a_comment(body: str, word: str, argument: str | None) -> None:
    assert hint("issue_comment", payloads.comment(body)) == Command(word, argument, 7, 42, "ada", *BY_ADA)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [
        "",
        None,
        "Nice!",
        "Please /binder build",
        " /binder build",
        "> /binder build",
        "\n/binder build",
        "/binder",
        "/binder build now",
        "/binder rebuild",
        "/binder build\x0b",
        "/binderbuild",
        "/ok-to-test abcdef",
        "/ok-to-test main",
        f"/ok-to-test {SHA}0",
        f"/ok-to-test {SHA} please",
        "/OK-TO-TEST",
    ],
)
def test_any_other_comment_is_no_command_and_is_not_kept(body: str | None) -> None:
    payload = payloads.comment(body)
    assert hint("issue_comment", payload) == Ignored("the comment is no command")
    assert kept(payload)["comment"] == {"id": 42}


def test_of_a_command_only_its_line_is_kept() -> None:
    assert kept(payloads.comment("/binder build\nBetween us: …"))["comment"] == {"id": 42, "body": "/binder build"}


@pytest.mark.parametrize("change", [{"sender": {"login": "robot[bot]", "type": "Bot"}}, {"sender": {"login": "x"}}])
def test_a_command_of_a_bot_is_ignored(change: dict[str, Any]) -> None:
    said = hint("issue_comment", payloads.comment("/binder build") | change)
    assert said == Ignored("commands are taken from people only, and this one came from an App")


def test_a_comment_on_an_issue_is_no_command() -> None:
    payload = payloads.comment("/binder build")
    del payload["issue"]["pull_request"]
    assert hint("issue_comment", payload) == Ignored("only comments on pull requests can be commands")


@pytest.mark.parametrize(
    ("name", "action", "identifier", "expected"),
    [
        ("check_run", "rerequested", None, "rerun"),
        ("check_suite", "rerequested", None, "rerun"),
        ("check_run", "requested_action", "rerun", "rerun"),
        ("check_run", "requested_action", "approve", "approve"),
        ("check_run", "requested_action", "cancel", "cancel"),
    ],
)
def test_a_button_says_what_to_do_with_which_commit(
    name: str, action: str, identifier: str | None, expected: str
) -> None:
    payload = payloads.check(name, action, identifier)
    assert hint(name, payload) == Button(expected, SHA, "ada", *BY_ADA)  # type: ignore[arg-type]
    assert hint_of(name, kept(payload), APP_ID + 1) == Ignored(f"the {name.replace('_', ' ')} is another App's")


@pytest.mark.parametrize("identifier", [None, "lgtm|26764"])
def test_a_button_that_is_not_ours_is_ignored(identifier: str | None) -> None:
    payload = payloads.check("check_run", "requested_action", identifier)
    assert hint("check_run", payload) == Ignored("there is no such button")


NO_BRANCH = "only branches are built, no tags or other refs"


@pytest.mark.parametrize(
    ("name", "payload", "reason"),
    [
        ("push", payloads.push("refs/tags/v1"), NO_BRANCH),
        ("push", payloads.deletion("refs/tags/v1"), NO_BRANCH),
        ("push", payloads.push("refs/heads/../x"), NO_BRANCH),
        ("create", payloads.branch(ref_type="tag"), NO_BRANCH),
        ("delete", payloads.branch(ref_type="tag"), NO_BRANCH),
        ("create", payloads.branch(ref="../x"), NO_BRANCH),
        (
            "pull_request",
            payloads.pull_request("edited", changes={"title": {"from": "A"}}),
            "the pull request was edited, but not its base",
        ),
        ("pull_request", payloads.pull_request("edited"), "the pull request was edited, but not its base"),
        ("pull_request", payloads.pull_request("assigned"), "pull_request.assigned is not acted on"),
        (
            "issue_comment",
            {**payloads.comment("/binder build"), "action": "edited"},
            "issue_comment.edited is not acted on",
        ),
        ("check_run", payloads.check("check_run", "completed"), "check_run.completed is not acted on"),
        ("installation", {"action": "suspended"}, "installation.suspended is not acted on"),
        ("repository", {"action": "created"}, "repository.created is not acted on"),
        ("member", {"action": "added"}, "member.added is not acted on"),
        ("ping", {"zen": "Design for failure.", "hook_id": 1}, "ping is not acted on"),
        ("some_event_of_tomorrow", {"action": {"not": "text"}}, "some_event_of_tomorrow is not acted on"),
    ],
)
def test_all_other_events_are_ignored_with_a_reason(name: str, payload: dict[str, Any], reason: str) -> None:
    assert hint(name, payload) == Ignored(reason)


def without(payload: dict[str, Any], *path: str) -> dict[str, Any]:
    """Return the payload without what `path` leads to."""
    changed: dict[str, Any] = json.loads(json.dumps(payload))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return changed


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("push", {"ref": "refs/heads/main", "after": SHA}),
        ("push", {"ref": "refs/heads/main", "after": SHA, "repository": {"id": "1"}}),
        ("push", {"ref": "refs/heads/main", "after": SHA, "repository": []}),
        ("push", {"ref": "refs/heads/main", "after": "abc", "repository": {"id": 1}}),
        ("push", {"after": SHA, "repository": {"id": 1}}),
        ("create", {"ref_type": "branch", "repository": {"id": 1}}),
        ("pull_request", {"action": "opened", "number": 7, "repository": {"id": 1}}),
        ("pull_request", {"action": "opened", "number": "7", "pull_request": {"head": {"sha": SHA}}}),
        ("pull_request", {"action": "opened", "number": 7, "pull_request": None}),
        ("repository", {"action": "privatized"}),
        ("installation", {"action": "created"}),
        ("issue_comment", without(payloads.comment("/binder build"), "issue", "number")),
        ("issue_comment", without(payloads.comment("/binder build"), "comment", "id")),
        ("issue_comment", without(payloads.comment("/binder build"), "sender", "login")),
        ("check_run", without(payloads.check("check_run", "rerequested"), "check_run", "head_sha")),
        ("check_run", without(payloads.check("check_run", "rerequested"), "sender")),
        ("check_suite", without(payloads.check("check_suite", "rerequested"), "repository")),
    ],
)
def test_an_event_that_names_nothing_is_refused(name: str, payload: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        hint(name, payload)
    assert refused.value.status == 400


words = st.sampled_from(["", "main", "created", "branch", "/binder stop", "\udc80", "../x", SHA])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=10,
)
WHOLE = [
    ("push", payloads.push()),
    ("create", payloads.branch()),
    ("pull_request", payloads.pull_request("edited", changes=BASE)),
    ("issue_comment", payloads.comment("/binder build")),
    ("check_run", payloads.check("check_run", "requested_action", "approve")),
    ("check_suite", payloads.check("check_suite", "rerequested")),
    ("repository", payloads.of_repository("edited", changes={"default_branch": {"from": "x"}})),
    ("installation", {"action": "created", **payloads.by_ada()}),
]


@st.composite
def odd_events(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """An event with anything at all in the place of some of its fields."""
    name, payload = draw(st.sampled_from(WHOLE))
    changed = json.loads(json.dumps(payload))
    for key in draw(st.sets(st.sampled_from(sorted(changed)))):
        if isinstance(changed[key], dict) and changed[key] and draw(st.booleans()):
            changed[key][draw(st.sampled_from(sorted(changed[key])))] = draw(json_values)
        else:
            changed[key] = draw(json_values)
    return name, changed


@given(odd_events())
def test_no_payload_leads_to_anything_but_a_hint_or_a_refusal(event: tuple[str, dict[str, Any]]) -> None:
    name, payload = event
    stored = kept(payload)
    assert json.loads(json.dumps(stored)) == kept(stored) == stored
    with contextlib.suppress(Refusal):
        assert isinstance(hint_of(name, stored, APP_ID), Hint)


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        (
            "member",
            payloads.of_repository("removed", member={"login": "bob"}),
            AccessLook(payloads.REPOSITORY_ID, None),
        ),
        ("member", payloads.of_repository("edited"), AccessLook(payloads.REPOSITORY_ID, None)),
        ("membership", {"action": "removed", "organization": {"login": "jupyter"}}, AccessLook(None, "jupyter")),
        ("organization", {"action": "member_removed", "organization": {"login": "j"}}, AccessLook(None, "j")),
        ("team", {"action": "removed_from_repository", "organization": {"login": "j"}}, AccessLook(None, "j")),
        ("github_app_authorization", {"action": "revoked", "sender": {"login": "bob", "id": 7}}, SignInRevoked(7)),
    ],
)
def test_what_may_take_away_a_right(name: str, payload: dict[str, Any], expected: Hint) -> None:
    assert hint(name, payload) == expected
    assert name in URGENT_EVENTS
