"""Deliveries in GitHub's documented shapes, as small as they may be, with what nobody needs left in here and there.

Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

import hashlib
import hmac
import json
from typing import Any

OLD_SHA = "a" * 40
SHA = "b" * 40
NO_COMMIT = "0" * 40
REPOSITORY_ID = 3_000_000_001
INSTALLATION_ID = 3_000_000_002
APP_ID = 17

Payload = dict[str, Any]


def repository() -> Payload:
    """A push has `created_at` as a number, all other events as text."""
    return {"id": REPOSITORY_ID, "full_name": "ada/demo", "private": False, "created_at": 1_700_000_000}


def push(ref: str = "refs/heads/main", *, after: str = SHA, **more: object) -> Payload:
    """A push, without an installation, as many are."""
    return {"ref": ref, "before": OLD_SHA, "after": after, "deleted": False, "repository": repository(), **more}


def deletion(ref: str = "refs/heads/main") -> Payload:
    """A ref that is gone: forty zeros, and no commit."""
    return push(ref, after=NO_COMMIT, deleted=True, head_commit=None, commits=[])


def installation() -> Payload:
    """The part that says which installation an event is for."""
    return {"installation": {"id": INSTALLATION_ID, "node_id": "MDIzOk"}}


def by_ada() -> Payload:
    """What most events say besides: for which installation they are, and who caused them."""
    return {**installation(), "sender": {"login": "ada", "id": 1, "type": "User"}}


def branch(ref: str = "main", *, ref_type: str = "branch") -> Payload:
    """A branch, or a tag, that was created or deleted."""
    return {"ref": ref, "ref_type": ref_type, "pusher_type": "user", "repository": repository(), **by_ada()}


def of_repository(action: str, **more: object) -> Payload:
    """An event of the repository itself."""
    return {"action": action, "repository": repository(), **by_ada(), **more}


def comment(body: str | None) -> Payload:
    """A new comment on pull request 7."""
    issue = {"number": 7, "title": "A change", "pull_request": {"url": "https://example.org/pulls/7"}}
    return of_repository("created", issue=issue, comment={"id": 42, "body": body, "user": {"login": "ada"}})


def check(name: str, action: str, identifier: str | None = None) -> Payload:
    """An event of a `check_run` or `check_suite` of ours; `identifier` is that of a button."""
    pressed = {"requested_action": {"identifier": identifier}} if identifier else {}
    return of_repository(action, **{name: {"id": 4, "head_sha": SHA, "app": {"id": APP_ID}}}, **pressed)


def pull_request(action: str, *, head_repository: Payload | None = None, **more: object) -> Payload:
    """An event of pull request 7; `head_repository` is None where a fork was deleted."""
    head = {"sha": SHA, "ref": "change", "repo": head_repository}
    pull = {"number": 7, "state": "open", "head": head, "base": {"repo": repository()}}
    return {"action": action, "number": 7, "pull_request": pull, "repository": repository(), **by_ada(), **more}


def signature(body: bytes, secret: str) -> str:
    """The value of `X-Hub-Signature-256`."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signed(
    event: str, payload: object, secret: str, guid: str = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a delivery."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return body, {
        "content-type": "application/json",
        "user-agent": "GitHub-Hookshot/044aadd",
        "x-github-delivery": guid,
        "x-github-event": event,
        "x-hub-signature-256": signature(body, secret),
    }
