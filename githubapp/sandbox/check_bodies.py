"""The bodies of the calls about check runs: what may be asked for, and what GitHub says to anything else.

Source: https://docs.github.com/en/rest/checks/runs
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from githubapp.sandbox.access import Refusal
from githubapp.sandbox.values import CHECK_CONCLUSIONS, CHECK_STATUSES, CheckAction, Json

MOST_ANNOTATIONS = 50
MOST_ACTIONS = 3
LONGEST_TEXT_CHARACTERS = 65_535
_LONGEST_OF_ACTION = {"label": 20, "description": 40, "identifier": 20}
_LEVELS = frozenset({"notice", "warning", "failure"})
_NUMBERS = ("start_line", "end_line", "start_column", "end_column")


def _wrong(said: str) -> Refusal:
    return Refusal(422, f"Invalid request.\n\n{said}")


def _text(body: Mapping[str, Any], name: str, *, longest: int | None = None, required: bool = False) -> str | None:
    value = body.get(name)
    if value is None and not required:
        return None
    if value is None:
        raise _wrong(f'"{name}" wasn\'t supplied.')
    if not isinstance(value, str):
        raise _wrong(f"For 'properties/{name}', {value!r} is not a string.")
    if longest is not None and len(value) > longest:
        raise _wrong(f"Only {longest} characters are allowed; {len(value)} were supplied.")
    return value


def _objects(body: Mapping[str, Any], name: str, most: int) -> list[Mapping[str, Any]]:
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _wrong(f"For 'properties/{name}', {value!r} is not an array of objects.")
    if len(value) > most:
        raise _wrong(f"No more than {most} items are allowed; {len(value)} were supplied.")
    return value


def fields(body: Json, now: datetime, *, is_new: bool) -> dict[str, Any]:
    """The fields of a `CheckRun` that a body sets.

    Raises: Refusal 422.
    """
    found: dict[str, Any] = {}
    if is_new or "name" in body:
        found["name"] = _text(body, "name", required=True)
    for name in ("details_url", "external_id"):
        if body.get(name) is not None:
            found[name] = _text(body, name)
    if found.get("details_url") and not found["details_url"].startswith(("http://", "https://")):
        raise _wrong("details_url must use http(s) scheme")
    if "actions" in body:
        found["actions"] = tuple(_action(one) for one in _objects(body, "actions", MOST_ACTIONS))
    return {**found, **_outcome(body, now), **_output(body, is_new=is_new)}


def _outcome(body: Json, now: datetime) -> dict[str, Any]:
    """Where it stands: a conclusion completes it, and whatever is not completed has none."""
    status, conclusion = _text(body, "status"), _text(body, "conclusion")
    found: dict[str, Any] = {}
    if "started_at" in body:
        found["started_at"] = _time(body, "started_at")
    if status is not None and status not in CHECK_STATUSES:
        raise _wrong(f"{status} is not a member of {list(CHECK_STATUSES)}.")
    if conclusion is not None and conclusion not in CHECK_CONCLUSIONS:
        raise _wrong(f"{conclusion} is not a member of {list(CHECK_CONCLUSIONS)}.")
    if conclusion is not None or "completed_at" in body or status == "completed":
        if conclusion is None:
            raise _wrong("A completed check run needs a conclusion.")
        completed = _time(body, "completed_at") if "completed_at" in body else now
        return {**found, "status": "completed", "conclusion": conclusion, "completed_at": completed}
    if status is not None:
        found |= {"status": status, "conclusion": None, "completed_at": None}
    return found


def _time(body: Json, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(cast("str", _text(body, name, required=True)))
    except ValueError:
        raise _wrong(f"{name} is not a date-time.") from None
    return moment.astimezone(UTC)


def _output(body: Json, *, is_new: bool) -> dict[str, Any]:
    output = body.get("output")
    if output is None:
        return {}
    if not isinstance(output, dict):
        raise _wrong("For 'properties/output', it is not an object.")
    found: dict[str, Any] = {"summary": _text(output, "summary", longest=LONGEST_TEXT_CHARACTERS, required=True)}
    if is_new or "title" in output:
        found["title"] = _text(output, "title", required=True)
    if "text" in output:
        found["text"] = _text(output, "text", longest=LONGEST_TEXT_CHARACTERS)
    found["annotations"] = tuple(_annotation(one) for one in _objects(output, "annotations", MOST_ANNOTATIONS))
    return found


def _annotation(value: Mapping[str, Any]) -> Json:
    for name in ("path", "message", "annotation_level"):
        _text(value, name, required=True)
    for name in ("title", "raw_details"):
        _text(value, name)
    if value["annotation_level"] not in _LEVELS:
        raise _wrong(f"{value['annotation_level']} is not a member of {sorted(_LEVELS)}.")
    for name in _NUMBERS:
        number = value.get(name)
        if not isinstance(number, int) and (name.endswith("line") or number is not None):
            raise _wrong(f"For 'properties/{name}', {number!r} is not an integer.")
    if value["end_line"] < value["start_line"]:
        raise _wrong("end_line must not be before start_line.")
    if value["start_line"] != value["end_line"] and ("start_column" in value or "end_column" in value):
        raise _wrong("Columns are allowed on one line only.")
    known = ("path", "message", "annotation_level", "title", "raw_details", *_NUMBERS)
    return {name: value[name] for name in known if name in value}


def _action(value: Mapping[str, Any]) -> CheckAction:
    texts = {name: _text(value, name, longest=most, required=True) for name, most in _LONGEST_OF_ACTION.items()}
    return CheckAction(**texts)  # type: ignore[arg-type]
