"""The bodies of requests: reading them, and saying what is wrong with a field.

Owns the size that is taken and the words of the refusals. Which fields a call has is the call's.
"""

import json
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import parse_qsl

from starlette.requests import Request

from githubapp.sandbox.access import Refusal
from githubapp.sandbox.values import Json

T = TypeVar("T", bound=str)

LARGEST_BODY_BYTES = 1024 * 1024
_MOST_FIELDS = 100


async def json_object(request: Request) -> Json:
    """The JSON object of a request, `{}` where it has none.

    Raises: Refusal 400 or 413.
    """
    raw = await _body(request)
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


async def _body(request: Request) -> bytes:
    """Raises: Refusal 413."""
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_BODY_BYTES:
            raise Refusal(413, "Payload too large")
    return raw


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, or of the address where it was sent without one; the last of a name counts.

    Raises: Refusal 400 or 413.
    """
    raw = await _body(request)
    try:
        sent = dict(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise Refusal(400, "Problems parsing the form") from None
    return {**request.query_params, **sent}


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


def short_text_or_none(body: Json, name: str, resource: str, *, longest: int) -> str | None:
    """A string of at most `longest` characters, None where it is missing or null.

    Raises: Refusal 422.
    """
    value = text_or_none(body, name, resource)
    if value and len(value) > longest:
        raise invalid(resource, name, "custom", f"{name} is too long (maximum is {longest} characters)")
    return value


def one_of(body: Json, name: str, resource: str, allowed: Sequence[T]) -> T:
    """One of the words that are `allowed`.

    Raises: Refusal 422.
    """
    asked = text(body, name, resource)
    for word in allowed:
        if asked == word:
            return word
    raise invalid(resource, name, "custom", f"{name} is not included in the list")


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
