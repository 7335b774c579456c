"""GitHub's protocol for deliveries: bytes and headers in, values out, nothing read and nothing sent.

Owns which signature is good, which delivery is refused and with which number, which part of a payload is kept, and
which events are acted on. An event is only a hint to look at a ref again; what is then done is left to `previews`.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from binder.errors import VisitorFault
from binder.names import is_ref, is_sha

# Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap
LARGEST_BODY_BYTES = 25 * 2**20
# What stands for the commit of a ref that was deleted.
NO_COMMIT = "0" * 40

Kind: TypeAlias = Literal["branch", "pull"]

_BRANCHES = "refs/heads/"
_GUID = re.compile(r"[A-Za-z0-9-]{1,100}")
_NAME = re.compile(r"[a-z_]{1,50}")
_ACTIONS_OF_PULL_REQUESTS = frozenset({"opened", "reopened", "synchronize", "closed"})
_KEPT: Mapping[str, Any] = {
    **dict.fromkeys(("action", "ref", "after", "deleted", "number")),
    "repository": {"id": None},
    "installation": {"id": None},
    "pull_request": {"head": {"sha": None}},
}


class Refusal(VisitorFault):
    """A delivery that is not taken; `status` is the HTTP status of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Event:
    """What a delivery tells. `payload` is GitHub's, cut down to what this module reads: the rest is never kept."""

    guid: str
    name: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Look:
    """A ref to look at again. `sha` is the head that the event told of, None where it told of the end of the ref.

    `installation_id` is None where the payload has none, as many have not.
    """

    kind: Kind
    ref: str
    sha: str | None
    repository_id: int
    installation_id: int | None


@dataclass(frozen=True)
class Ignored:
    """An event that changes nothing here, and why."""

    reason: str


def verify(body: bytes, signature: str | None, secrets: Sequence[str]) -> bool:
    """Whether one of the secrets signed `body`; `signature` is the header `X-Hub-Signature-256`, None if missing.

    Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    """
    # Bytes, because compare_digest raises on text that is not ASCII.
    given = (signature or "").encode(errors="replace")
    signed = [b"sha256=" + _hex_digest(body, secret) for secret in secrets if secret]
    return any(hmac.compare_digest(given, wanted) for wanted in signed)


def _hex_digest(body: bytes, secret: str) -> bytes:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()


def parse(headers: Mapping[str, str], body: bytes) -> Event:
    """Read a delivery whose signature is good.

    Raises: Refusal, 415 or 400.
    Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
    """
    known = {name.lower(): value for name, value in headers.items()}
    media_type = known.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Refusal(415, "Deliveries are taken as application/json only: set the webhook's content type to it.")
    guid, name = known.get("x-github-delivery", ""), known.get("x-github-event", "")
    if not _GUID.fullmatch(guid) or not _NAME.fullmatch(name):
        raise Refusal(400, "The headers X-GitHub-Delivery and X-GitHub-Event are missing or malformed.")
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "The body is not JSON.") from error
    if not isinstance(payload, dict):
        raise Refusal(400, "The body is not a JSON object.")
    return Event(guid, name, _pick(payload, _KEPT))


def _pick(value: Mapping[str, Any], shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of `value` that `shape` names; what does not have that shape is left out."""
    picked: dict[str, Any] = {}
    for key, below in shape.items():
        part = value.get(key)
        if below is None and isinstance(part, str | int):
            picked[key] = part
        elif below is not None and isinstance(part, dict):
            picked[key] = _pick(part, below)
    return picked


def look_of(name: str, payload: Mapping[str, Any]) -> Look | Ignored:
    """Return what the event `name` asks us to look at.

    Raises: Refusal 400, where a field is missing that it takes to find the ref.
    """
    action = payload.get("action")
    if name == "push":
        return _look_of_push(payload)
    if name == "pull_request" and action in _ACTIONS_OF_PULL_REQUESTS:
        return _look_of_pull_request(payload, ended=action == "closed")
    return Ignored(f"{name}.{action} is not acted on" if isinstance(action, str) else f"{name} is not acted on")


def _look_of_push(payload: Mapping[str, Any]) -> Look | Ignored:
    ref, after = payload.get("ref"), payload.get("after")
    if not isinstance(ref, str) or not isinstance(after, str) or not is_sha(after):
        raise Refusal(400, "The push names no ref or no commit.")
    branch = ref.removeprefix(_BRANCHES)
    if not ref.startswith(_BRANCHES) or not is_ref(branch):
        return Ignored("only branches are built, no tags or other refs")
    ended = payload.get("deleted") is True or after == NO_COMMIT
    return _look(payload, "branch", branch, None if ended else after)


def _look_of_pull_request(payload: Mapping[str, Any], *, ended: bool) -> Look:
    number = payload.get("number")
    sha = payload.get("pull_request", {}).get("head", {}).get("sha")
    if not isinstance(number, int) or not isinstance(sha, str) or not is_sha(sha):
        raise Refusal(400, "The event names no pull request or no commit.")
    return _look(payload, "pull", str(number), None if ended else sha)


def _look(payload: Mapping[str, Any], kind: Kind, ref: str, sha: str | None) -> Look:
    repository = payload.get("repository", {}).get("id")
    installation = payload.get("installation", {}).get("id")
    if not isinstance(repository, int):
        raise Refusal(400, "The event names no repository.")
    return Look(kind, ref, sha, repository, installation if isinstance(installation, int) else None)
