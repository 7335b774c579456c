"""Deployments, their statuses and environments, through PyGithub and by hand."""

import asyncio
from typing import Any

import pytest

from tests.githubapp.sandbox.conftest import CONTEXT, Rest, Stage

_HERE = "/repos/ada/demo/deployments"
_OURS: dict[str, Any] = {
    "environment": "binder-preview",
    "auto_merge": False,
    "required_contexts": [],
    "transient_environment": True,
}


async def _deploy(stage: Stage, rest: Rest, *states: str, auto_inactive: bool = True, **body: object) -> int:
    """A deployment of the first commit that went through `states`."""
    token = await asyncio.to_thread(stage.installation_token)
    answer = await rest("POST", _HERE, token=token, json={"ref": stage.first_sha, "required_contexts": [], **body})
    assert answer.status_code == 201, answer.text
    number: int = answer.json()["id"]
    for state in states:
        said = {"state": state, "auto_inactive": auto_inactive}
        assert (await rest("POST", f"{_HERE}/{number}/statuses", token=token, json=said)).status_code == 201
    return number


async def test_pygithub_deploys_a_commit(stage: Stage) -> None:
    def deploy() -> None:
        with stage.as_installation() as client:
            repository = client.get_repo("ada/demo")
            made = repository.create_deployment(stage.first_sha, description="A preview", **_OURS)
            assert (made.sha, made.environment, made.task) == (stage.first_sha, "binder-preview", "deploy")
            assert (made.transient_environment, made.production_environment) == (True, False)
            assert made.creator.login == "binder[bot]"
            made.create_status("in_progress", description="Building")
            made.create_status("success", environment_url="http://binder.example.org/v2/gh/ada/demo")
            assert [one.state for one in made.get_statuses()] == ["success", "in_progress"]
            assert next(iter(made.get_statuses())).environment_url == "http://binder.example.org/v2/gh/ada/demo"
            for sha, environment, count in (
                (stage.first_sha, "binder-preview", 1),
                (stage.first_sha, "production", 0),
                ("0" * 40, "binder-preview", 0),
            ):
                assert repository.get_deployments(sha=sha, environment=environment).totalCount == count

    await asyncio.to_thread(deploy)


async def test_an_environment_appears_by_itself_and_stays(stage: Stage, rest: Rest) -> None:
    await _deploy(stage, rest, "success", "inactive", **_OURS)
    await _deploy(stage, rest, **_OURS)
    adas = stage.sandbox.world.account("ada").token
    listed = (await rest("GET", "/repos/ada/demo/environments", token=adas)).json()
    assert [one["name"] for one in listed["environments"]] == ["binder-preview"]
    token = await asyncio.to_thread(stage.installation_token)
    assert (await rest("GET", "/repos/ada/demo/environments", token=token)).status_code == 403


async def test_a_branch_that_is_behind_is_merged_instead(stage: Stage, rest: Rest) -> None:
    await stage.push("Aside", "aside")
    await stage.checkout.git("checkout", "--quiet", "main")
    await stage.push("Second")
    token = await asyncio.to_thread(stage.installation_token)
    body = {"ref": "aside", "required_contexts": []}
    answer = await rest("POST", _HERE, token=token, json=body)
    assert (answer.status_code, answer.json()["message"]) == (202, "Auto-merged main into aside on deployment.")
    assert (await rest("GET", _HERE, token=token)).json() == []
    assert (await rest("POST", _HERE, token=token, json={**body, "auto_merge": False})).status_code == 201
    assert (await rest("POST", _HERE, token=token, json={**body, "ref": "main"})).status_code == 201


async def test_all_contexts_are_required_if_none_is_named(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    status = {"state": "pending", "context": CONTEXT}
    await rest("POST", f"/repos/ada/demo/statuses/{stage.first_sha}", token=token, json=status)
    body: dict[str, object] = {"ref": "main"}
    refused = await rest("POST", _HERE, token=token, json=body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (409, "required_contexts")
    assert (await rest("POST", _HERE, token=token, json={**body, "required_contexts": ["x"]})).status_code == 409
    assert (await rest("POST", _HERE, token=token, json={**body, "required_contexts": []})).status_code == 201
    await rest("POST", f"/repos/ada/demo/statuses/{stage.first_sha}", token=token, json={**status, "state": "success"})
    assert (await rest("POST", _HERE, token=token, json=body)).status_code == 201


@pytest.mark.parametrize(
    ("body", "auto_inactive", "left"),
    [
        ({"environment": "staging"}, True, "inactive"),
        ({"environment": "staging"}, False, "success"),
        ({"environment": "staging", "transient_environment": True}, True, "success"),
        ({"environment": "production"}, True, "success"),
    ],
)
async def test_a_success_makes_the_one_before_inactive(
    stage: Stage, rest: Rest, body: dict[str, Any], auto_inactive: bool, left: str
) -> None:
    first = await _deploy(stage, rest, "success", **body)
    failed = await _deploy(stage, rest, "failure", **body)
    elsewhere = await _deploy(stage, rest, "success", environment="elsewhere")
    newest = await _deploy(stage, rest, "success", auto_inactive=auto_inactive, **body)
    states = {one.id: one.state for one in await stage.sandbox.deployments("ada/demo", sha=stage.first_sha)}
    assert states == {first: left, failed: "failure", elsewhere: "success", newest: "success"}


async def test_wrong_deployments_are_refused(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    wrong: list[dict[str, object]] = [
        {"ref": "missing"},
        {},
        {"ref": "main", "description": "x" * 141},
        {"ref": "main", "auto_merge": "no"},
        {"ref": "main", "required_contexts": "none"},
        {"ref": "main", "payload": 1},
        {"ref": "main", "environment": ""},
    ]
    for body in wrong:
        assert (await rest("POST", _HERE, token=token, json=body)).status_code == 422, body
    number = await _deploy(stage, rest)
    for said in ({"state": "done"}, {"state": "success", "environment_url": "javascript:1"}, {}):
        assert (await rest("POST", f"{_HERE}/{number}/statuses", token=token, json=said)).status_code == 422, said
    assert (await rest("GET", f"{_HERE}/1", token=token)).status_code == 404
    reading = await asyncio.to_thread(stage.installation_token, deployments="read")
    refused = await rest("POST", _HERE, token=reading, json={"ref": "main"})
    assert (refused.status_code, refused.json()["message"]) == (403, "Resource not accessible by integration")


async def test_waiting_for_a_deployment(stage: Stage, rest: Rest) -> None:
    waiting = asyncio.create_task(
        stage.sandbox.wait_for_deployment("ada/demo", sha=stage.first_sha, environment="binder-preview")
    )
    number = await _deploy(stage, rest, "in_progress", "success", **_OURS)
    assert (await waiting).id == number
    await stage.sandbox.delete_repository("ada/demo")
    assert (stage.sandbox.world.state.deployments, stage.sandbox.world.state.environments) == ({}, {})
