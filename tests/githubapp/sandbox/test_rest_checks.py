"""Check runs, through PyGithub and by hand."""

import asyncio
from typing import Any

import pytest

from githubapp.sandbox.check_bodies import LONGEST_TEXT_CHARACTERS
from githubapp.sandbox.installations import mint_token
from tests.githubapp.sandbox.conftest import Rest, Stage

_RUNS = "/repos/ada/demo/check-runs"
_BUTTON = {"label": "Build", "description": "Build it once more", "identifier": "rerun"}


def _annotation(line: int = 1) -> dict[str, Any]:
    return {"path": "a b.md", "start_line": line, "end_line": line, "annotation_level": "failure", "message": "No"}


async def test_pygithub_writes_a_check_run_to_its_end(stage: Stage) -> None:
    def write() -> None:
        with stage.as_installation() as client:
            repository = client.get_repo("ada/demo")
            output: dict[str, Any] = {"title": "Building", "summary": "…", "annotations": [_annotation(1)]}
            run = repository.create_check_run(
                "binder", stage.first_sha, status="in_progress", external_id="7", output=output
            )
            assert (run.status, run.external_id) == ("in_progress", "7")
            assert (run.raw_data["conclusion"], run.raw_data["completed_at"]) == (None, None)
            assert run.app.slug == "binder"
            output = {"title": "Failed", "summary": "No", "annotations": [_annotation(2)]}
            run.edit(conclusion="failure", output=output, actions=[_BUTTON])
            again = repository.get_check_run(run.id)
            assert (again.status, again.conclusion, again.output.title) == ("completed", "failure", "Failed")
            assert again.completed_at is not None
            assert [one.start_line for one in again.get_annotations()] == [1, 2]
            assert [one.id for one in repository.get_commit("main").get_check_runs()] == [run.id]

    await asyncio.to_thread(write)
    assert await stage.heard() == ["check_run.created", "check_run.completed"]


async def test_a_completed_run_can_begin_again(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    body = {"name": "binder", "head_sha": stage.first_sha, "conclusion": "success"}
    run = (await rest("POST", _RUNS, token=token, json=body)).json()
    assert run["status"] == "completed"
    path = f"{_RUNS}/{run['id']}"
    again = (await rest("PATCH", path, token=token, json={"status": "in_progress"})).json()
    assert (again["status"], again["conclusion"], again["completed_at"]) == ("in_progress", None, None)


async def test_the_newest_run_of_each_name_is_listed(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    for name, status in (("binder", "queued"), ("other", "queued"), ("binder", "in_progress")):
        body = {"name": name, "head_sha": stage.first_sha, "status": status}
        assert (await rest("POST", _RUNS, token=token, json=body)).status_code == 201

    async def listed(query: str) -> list[tuple[str, str]]:
        answer = (await rest("GET", f"/repos/ada/demo/commits/main/check-runs{query}", token=token)).json()
        assert answer["total_count"] == len(answer["check_runs"])
        return [(run["name"], run["status"]) for run in answer["check_runs"]]

    assert await listed("") == [("binder", "in_progress"), ("other", "queued")]
    assert len(await listed("?filter=all")) == 3
    assert await listed("?check_name=other") == [("other", "queued")]
    assert await listed("?status=in_progress") == [("binder", "in_progress")]
    assert await listed("?app_id=1") == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"actions": [_BUTTON] * 4}, "No more than 3 items are allowed"),
        ({"actions": [{**_BUTTON, "label": "x" * 21}]}, "Only 20 characters are allowed"),
        ({"actions": [{**_BUTTON, "description": "x" * 41}]}, "Only 40 characters are allowed"),
        ({"actions": [{**_BUTTON, "identifier": "x" * 21}]}, "Only 20 characters are allowed"),
        ({"actions": [{"label": "Build"}]}, "wasn't supplied"),
        ({"actions": "rerun"}, "is not an array"),
        ({"output": {"title": "T", "summary": "x" * (LONGEST_TEXT_CHARACTERS + 1)}}, "Only 65535 characters"),
        ({"output": {"title": "T", "summary": "S", "annotations": [_annotation()] * 51}}, "No more than 50 items"),
        ({"output": {"title": "T", "summary": "S", "annotations": [{**_annotation(), "end_line": 0}]}}, "end_line"),
        ({"output": {"title": "T", "summary": "S", "annotations": [{**_annotation(), "start_line": "1"}]}}, "integer"),
        ({"output": {"summary": "S"}}, '"title" wasn\'t supplied'),
        ({"output": {"title": "T"}}, '"summary" wasn\'t supplied'),
        ({"status": "done"}, "is not a member of"),
        ({"status": "completed"}, "needs a conclusion"),
        ({"conclusion": "stale"}, "is not a member of"),
        ({"details_url": "javascript:alert(1)"}, "http(s)"),
        ({"started_at": "yesterday"}, "date-time"),
        ({"name": None}, '"name" wasn\'t supplied'),
        ({"head_sha": "0" * 40}, "No commit found for SHA"),
        ({"head_sha": "main"}, "No commit found for SHA"),
    ],
)
async def test_wrong_check_runs_are_refused(stage: Stage, rest: Rest, body: dict[str, Any], said: str) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    answer = await rest("POST", _RUNS, token=token, json={"name": "binder", "head_sha": stage.first_sha, **body})
    assert (answer.status_code, said in answer.json()["message"]) == (422, True), answer.text


async def test_only_apps_write_check_runs_and_only_their_own(stage: Stage, rest: Rest) -> None:
    body = {"name": "binder", "head_sha": stage.first_sha}
    adas = stage.sandbox.world.account("ada").token
    assert (await rest("POST", _RUNS, token=adas, json=body)).status_code == 403
    reading = await asyncio.to_thread(stage.installation_token, checks="read")
    refused = await rest("POST", _RUNS, token=reading, json=body)
    assert (refused.status_code, refused.json()["message"]) == (403, "Resource not accessible by integration")
    run = (await rest("POST", _RUNS, token=await asyncio.to_thread(stage.installation_token), json=body)).json()
    other = await stage.sandbox.create_app(webhook_url="", webhook_secret="x", owner="bob", slug="other")
    installed = await stage.sandbox.install(other.app_id, account="ada")
    token = mint_token(stage.sandbox.world, installed, None, {"checks": "write"}).value
    answer = await rest("PATCH", f"{_RUNS}/{run['id']}", token=token, json={"status": "queued"})
    assert (answer.status_code, "only be modified by" in answer.json()["message"]) == (403, True)
    assert (await rest("GET", f"{_RUNS}/1", token=token)).status_code == 404
