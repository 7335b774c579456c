"""That the description finds what is wrong, and takes what is right."""

from typing import Any

import pytest

from tests.githubapp.github_description import NotAsDescribedError, validate_exchange, validate_webhook

_SHA = "0" * 40
_STATUSES = f"/repos/ada/demo/statuses/{_SHA}"
_LIMIT = {"limit": 1, "remaining": 1, "reset": 1, "used": 1}


def _exchange(**changed: Any) -> None:
    right = {
        "method": "GET",
        "path": "/rate_limit",
        "query": {},
        "request_body": None,
        "status": 200,
        "response_body": {"resources": {"core": _LIMIT, "search": _LIMIT}, "rate": _LIMIT},
    }
    validate_exchange(**{**right, **changed})


def test_what_is_right_is_taken() -> None:
    _exchange()
    _exchange(status=503, response_body={"message": "Sorry"})
    _exchange(path="/repositories/1/commits/heads/main/status", status=404, response_body={"message": "Not Found"})
    asked = {"state": "success", "description": None}
    _exchange(method="POST", path=_STATUSES, request_body=asked, status=403, response_body={"message": "No"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "/rate_limits"},
        {"method": "POST"},
        {"query": {"pages": "1"}},
        {"status": 201},
        {"response_body": {"rate": _LIMIT}},
        {"response_body": None},
        {"request_body": {"a": 1}},
        {"path": "/app/installations", "query": {"page": "one"}, "response_body": []},
    ],
)
def test_what_is_wrong_is_found(wrong: dict[str, Any]) -> None:
    with pytest.raises(NotAsDescribedError):
        _exchange(**wrong)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"state": "done"}, "is not one of"),
        ({"state": "success", "target_ulr": "x"}, "target_ulr"),
        ({"state": "success", "description": "x" * 141}, "141 characters"),
        ({"description": "x"}, "required"),
        (None, "a body"),
    ],
)
def test_a_wrong_request_is_found(body: object, said: str) -> None:
    with pytest.raises(NotAsDescribedError, match=said):
        _exchange(method="POST", path=_STATUSES, request_body=body, status=403, response_body={"message": "No"})


def test_unknown_keys_are_found_below_the_surface() -> None:
    path = "/app/installations/1/access_tokens"
    answer = {"token": "x", "expires_at": "2030-01-01T00:00:00Z"}
    asked = {"permissions": {"contents": "read"}}
    _exchange(method="POST", path=path, request_body=asked, status=201, response_body=answer)
    asked = {"permissions": {"content": "read"}}
    with pytest.raises(NotAsDescribedError, match=r"permissions\.content"):
        _exchange(method="POST", path=path, request_body=asked, status=201, response_body=answer)


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("pushed", {}),
        ("push", {"ref": "refs/heads/main"}),
        ("pull_request", {"action": "moved"}),
        ("installation", {"action": "suspended"}),
    ],
)
def test_wrong_deliveries_are_found(event: str, payload: dict[str, Any]) -> None:
    with pytest.raises(NotAsDescribedError):
        validate_webhook(event, payload)


def test_a_ping_is_taken() -> None:
    validate_webhook("ping", {"zen": "Keep it logically awesome.", "hook_id": 1})
