"""GitHub's protocol for deliveries: bytes and headers in, values out, nothing read and nothing sent.

Owns which signature is good, and which delivery is refused and with which number. What an event means is `events`.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from githubapp.events import Refusal, kept

# Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap
LARGEST_BODY_BYTES = 25 * 2**20

_GUID = re.compile(r"[A-Za-z0-9-]{1,100}")
_NAME = re.compile(r"[a-z0-9_]{1,50}")


@dataclass(frozen=True)
class Event:
    """What a delivery tells. `payload` is GitHub's, cut down to what `events` reads: the rest is never kept."""

    guid: str
    name: str
    payload: Mapping[str, Any]


def verify(body: bytes | bytearray, signature: str | None, secrets: Sequence[str]) -> bool:
    """Whether one of the secrets signed `body`; `signature` is the header `X-Hub-Signature-256`, None if missing.

    Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    """
    # Bytes, because compare_digest raises on text that is not ASCII.
    given = (signature or "").encode(errors="replace")
    signed = [b"sha256=" + _hex_digest(body, secret) for secret in secrets if secret]
    return any(hmac.compare_digest(given, wanted) for wanted in signed)


def _hex_digest(body: bytes | bytearray, secret: str) -> bytes:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()


def parse(headers: Mapping[str, str], body: bytes | bytearray) -> Event:
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
    return Event(guid, name, kept(payload))
