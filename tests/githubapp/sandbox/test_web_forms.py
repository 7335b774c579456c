"""The forms on the pages of commits and pull requests."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.githubapp.sandbox.conftest import Rest, Stage

_BUTTON = {"label": "Approve", "description": "Build this commit", "identifier": "approve"}


async def _run(stage: Stage, rest: Rest) -> dict[str, Any]:
    token = await asyncio.to_thread(stage.installation_token)
    body = {"name": "binder", "head_sha": stage.first_sha, "conclusion": "action_required", "actions": [_BUTTON]}
    run: dict[str, Any] = (await rest("POST", "/repos/ada/demo/check-runs", token=token, json=body)).json()
    await stage.sandbox.settled()
    stage.receiver.received.clear()
    return run


async def test_buttons_of_a_check_are_pressed_on_its_page(stage: Stage, rest: Rest, browser: httpx.AsyncClient) -> None:
    run = await _run(stage, rest)
    page = f"/ada/demo/commit/{stage.first_sha}"
    text = (await browser.get(page)).text
    assert f'action="/ada/demo/runs/{run["id"]}/buttons"' in text
    assert "Approve</button>" in text
    pressed = await browser.post(f"/ada/demo/runs/{run['id']}/buttons", data={"identifier": "approve", "login": "ada"})
    assert (pressed.status_code, pressed.headers["location"]) == (303, page)
    again = await browser.post(f"/ada/demo/runs/{run['id']}/rerequest", data={"login": "ada", "pull": "7"})
    assert (again.status_code, again.headers["location"]) == (303, "/ada/demo/pull/7")
    assert await stage.heard() == ["check_run.requested_action", "check_run.rerequested"]


async def test_a_pull_request_is_talked_about_and_closed_on_its_page(stage: Stage, browser: httpx.AsyncClient) -> None:
    await stage.push("Work", "topic", topic="1")
    await stage.sandbox.open_pull_request("ada/demo", author="ada", head="topic", title="A topic", draft=True)
    await stage.sandbox.settled()
    stage.receiver.received.clear()
    page = "/ada/demo/pull/1"
    writing = (await browser.get(f"{page}?write")).text
    assert '<meta http-equiv="refresh"' not in writing
    assert "<textarea" in writing
    said = await browser.post(f"{page}/comments", data={"body": "/binder build", "login": "bob"})
    assert (said.status_code, said.headers["location"]) == (303, page)
    for state in ("ready", "closed", "open"):
        assert (await browser.post(f"{page}/state", data={"state": state, "login": "ada"})).status_code == 303
    assert await stage.heard() == [
        "issue_comment.created",
        "pull_request.ready_for_review",
        "pull_request.closed",
        "pull_request.reopened",
    ]


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("runs/{run}/buttons", {"identifier": "other", "login": "ada"}, 422),
        ("runs/{run}/buttons", {"identifier": "approve", "login": "nobody"}, 404),
        ("runs/{run}/rerequest", {"login": "bob"}, 403),
        ("runs/1/rerequest", {"login": "ada"}, 404),
        ("pull/9/comments", {"login": "ada", "body": "x"}, 404),
    ],
)
async def test_what_cannot_be_done_is_said_on_a_page(
    stage: Stage, rest: Rest, browser: httpx.AsyncClient, path: str, sent: dict[str, str], status: int
) -> None:
    run = await _run(stage, rest)
    answer = await browser.post(f"/ada/demo/{path.format(run=run['id'])}", data=sent)
    assert (answer.status_code, "That was not done" in answer.text) == (status, True)
    assert await stage.heard() == []


async def test_forms_of_other_sites_do_nothing(stage: Stage, rest: Rest, browser: httpx.AsyncClient) -> None:
    run = await _run(stage, rest)
    path, sent = f"/ada/demo/runs/{run['id']}/rerequest", {"login": "ada"}
    for origin in ("http://elsewhere.example.org", "null"):
        assert (await browser.post(path, data=sent, headers={"origin": origin})).status_code == 403
    assert (await browser.post(path, data=sent, headers={"origin": stage.sandbox.url})).status_code == 303
