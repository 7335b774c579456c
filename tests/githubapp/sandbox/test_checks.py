"""What people do with check runs, and what the App hears of it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from githubapp.sandbox.access import Refusal
from tests.githubapp.sandbox.conftest import Rest, Stage

_RUNS = "/repos/ada/demo/check-runs"
_BUTTON = {"label": "Approve", "description": "Build this commit", "identifier": "approve"}


async def _create(stage: Stage, rest: Rest, **body: object) -> dict[str, Any]:
    token = await asyncio.to_thread(stage.installation_token)
    answer = await rest("POST", _RUNS, token=token, json={"name": "binder", "head_sha": stage.first_sha, **body})
    assert answer.status_code == 201
    await stage.sandbox.settled()
    stage.receiver.received.clear()
    run: dict[str, Any] = answer.json()
    return run


async def test_a_button_is_told_with_who_pressed_it_and_where(stage: Stage, rest: Rest) -> None:
    run = await _create(stage, rest, conclusion="action_required", actions=[_BUTTON])
    await stage.sandbox.press_button("ada/demo", run["id"], "approve", "bob")
    assert await stage.heard() == ["check_run.requested_action"]
    (payload,) = stage.receiver.of("check_run")
    assert payload["requested_action"] == {"identifier": "approve"}
    assert payload["sender"]["login"] == "bob", "whether Bob may do this is for the App to ask"
    assert payload["check_run"]["head_sha"] == stage.first_sha
    assert payload["check_run"]["app"]["id"] == stage.app.app_id
    assert payload["check_run"]["check_suite"]["head_branch"] == "main"


async def test_there_is_no_button_to_press(stage: Stage, rest: Rest) -> None:
    run = await _create(stage, rest, status="in_progress", actions=[_BUTTON])
    for name, number, identifier in (("ada/demo", run["id"], "approve"), ("ada/demo", 1, "approve")):
        with pytest.raises(Refusal):
            await stage.sandbox.press_button(name, number, identifier, "ada")
    run = await _create(stage, rest, conclusion="failure", actions=[_BUTTON])
    with pytest.raises(Refusal):
        await stage.sandbox.press_button("ada/demo", run["id"], "other", "ada")
    await stage.sandbox.set_private("ada/demo", private=True)
    with pytest.raises(Refusal):
        await stage.sandbox.press_button("ada/demo", run["id"], "approve", "bob")
    assert await stage.heard() == ["repository.privatized"]


async def test_a_run_is_asked_for_once_more_by_those_who_may_write(stage: Stage, rest: Rest) -> None:
    run = await _create(stage, rest, conclusion="failure")
    await stage.sandbox.rerequest("ada/demo", run["id"])
    with pytest.raises(Refusal):
        await stage.sandbox.rerequest("ada/demo", run["id"], "bob")
    assert await stage.heard() == ["check_run.rerequested"]
    (payload,) = stage.receiver.of("check_run")
    assert (payload["check_run"]["id"], payload["check_run"]["conclusion"]) == (run["id"], "failure")


async def test_a_whole_suite_is_asked_for_once_more(stage: Stage, rest: Rest) -> None:
    await _create(stage, rest, conclusion="failure")
    await stage.sandbox.rerequest_suite("ada/demo", stage.first_sha)
    assert await stage.heard() == ["check_suite.rerequested"]
    (payload,) = stage.receiver.of("check_suite")
    suite = payload["check_suite"]
    assert (suite["head_sha"], suite["status"], suite["latest_check_runs_count"]) == (stage.first_sha, "queued", 1)


async def test_an_app_hears_of_its_buttons_without_subscribing(stage: Stage, rest: Rest) -> None:
    (installed,) = stage.sandbox.world.state.installations.values()
    installations = stage.sandbox.world.state.installations
    installations[installed.id] = replace(installed, events=())
    run = await _create(stage, rest, conclusion="failure", actions=[_BUTTON])
    await stage.sandbox.press_button("ada/demo", run["id"], "approve", "ada")
    installations[installed.id] = replace(installed, events=(), permissions={"checks": "read"})
    await stage.sandbox.press_button("ada/demo", run["id"], "approve", "ada")
    assert await stage.heard() == ["check_run.requested_action"]


async def test_a_pull_request_is_named_unless_it_comes_from_a_fork(stage: Stage, rest: Rest) -> None:
    first = await stage.push("Work", "topic", topic="1")
    await stage.sandbox.open_pull_request("ada/demo", author="ada", head="topic", title="A topic")
    await stage.sandbox.fork("ada/demo", owner="bob")
    second = await stage.checkout.commit("From Bob", bob="1")
    await stage.checkout.push(stage.sandbox.clone_url("bob/demo", login="bob"), "HEAD:refs/heads/theirs")
    await stage.sandbox.open_pull_request("ada/demo", author="bob", head="bob:theirs", title="From a fork")
    named = await _create(stage, rest, head_sha=first)
    assert [pull["number"] for pull in named["pull_requests"]] == [1]
    assert (await _create(stage, rest, head_sha=second))["pull_requests"] == []


async def test_waiting_for_a_check(stage: Stage, rest: Rest) -> None:
    waiting = asyncio.create_task(stage.sandbox.wait_for_check("ada/demo", sha=stage.first_sha, name="binder"))
    await _create(stage, rest, status="queued")
    run = await _create(stage, rest, conclusion="success")
    assert (await waiting).id == run["id"]
    assert [one.id for one in await stage.sandbox.check_runs("ada/demo", sha=stage.first_sha)] == [run["id"]]


async def test_a_deleted_repository_takes_its_checks_with_it(stage: Stage, rest: Rest) -> None:
    await _create(stage, rest, conclusion="success")
    await stage.sandbox.delete_repository("ada/demo")
    state = stage.sandbox.world.state
    assert (state.check_runs, state.check_suites) == ({}, {})
