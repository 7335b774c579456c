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


def pull_request(action: str, *, head_repository: Payload | None = None, **more: object) -> Payload:
    """An event of pull request 7; `head_repository` is None where a fork was deleted."""
    head = {"sha": SHA, "ref": "change", "repo": head_repository}
    pull = {"number": 7, "state": "open", "head": head, "base": {"repo": repository()}}
    return {"action": action, "number": 7, "pull_request": pull, "repository": repository(), **installation(), **more}


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
