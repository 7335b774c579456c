"""The bodies of requests: reading them, and saying what is wrong with a field.

Owns the size that is taken and the words of the refusals. Which fields a call has is the call's.
"""

import json

from starlette.requests import Request

from githubapp.sandbox.access import Refusal
from githubapp.sandbox.values import Json

LARGEST_BODY_BYTES = 1024 * 1024


async def json_object(request: Request) -> Json:
    """The JSON object of a request, `{}` where it has none.

    Raises: Refusal 400 or 413.
    """
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_BODY_BYTES:
            raise Refusal(413, "Payload too large")
    if not raw:
        return {}
    try:
        body = json.loads(raw)
        # Half a surrogate pair or a NaN is read without complaint, and can never be answered again.
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise Refusal(400, "Problems parsing JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, "Body should be a JSON object")
    return body


def text(body: Json, name: str, resource: str, *, default: str | None = None) -> str:
    """A string of the body.

    Raises: Refusal 422, where it is missing and has no default, or is no string.
    """
    value = body.get(name, default)
    if isinstance(value, str):
        return value
    raise invalid(resource, name, "missing_field" if value is None else "invalid")


def text_or_none(body: Json, name: str, resource: str) -> str | None:
    """A string of the body, None where it is missing or null.

    Raises: Refusal 422.
    """
    return None if body.get(name) is None else text(body, name, resource)


def url_or_none(body: Json, name: str, resource: str) -> str | None:
    """An address of the web, None where it is missing, null or empty.

    Raises: Refusal 422.
    """
    value = text_or_none(body, name, resource)
    if value and not value.startswith(("http://", "https://")):
        raise invalid(resource, name, "custom", f"{name} must use http(s) scheme")
    return value or None


def flag(body: Json, name: str, resource: str, *, default: bool) -> bool:
    """Yes or no.

    Raises: Refusal 422.
    """
    value = body.get(name, default)
    if isinstance(value, bool):
        return value
    raise invalid(resource, name, "invalid")


def invalid(resource: str, name: str, code: str, message: str | None = None) -> Refusal:
    """GitHub's validation error for one field."""
    error: Json = {"resource": resource, "field": name, "code": code}
    return Refusal(422, "Validation Failed", errors=[error if message is None else {**error, "message": message}])
