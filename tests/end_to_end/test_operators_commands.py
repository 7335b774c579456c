"""`binder` at another machine's keyboard: of a whole service, by its address and a token, through its HAProxy."""

import json
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from deploy.probe import run_cell
from tests.binder.cli.typed import typed
from tests.stage import NOTEBOOK, REPOSITORY, Stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]


async def _env(stage: Stage, name: str) -> dict[str, str]:
    """Return the variables of whoever was given a new token of the service."""
    made = await typed("token", name, env={"BINDER_STATE_DIR": stage.environment["BINDER_STATE_DIR"]})
    assert made.code == 0, made.complaint
    return {"BINDER_URL": stage.url, "BINDER_TOKEN": made.output.strip(), "BINDER_STATE_DIR": str(stage.home / "none")}


async def _said(*arguments: str, env: Mapping[str, str]) -> list[dict[str, object]]:
    ended = await typed(*arguments, "--json", env=env)
    assert ended.code == 0, ended.complaint
    found: list[dict[str, object]] = json.loads(ended.output)
    return found


async def test_a_service_is_worked_with_by_its_token(stage: Stage) -> None:
    env = await _env(stage, "whole")
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", "6 * 11")})
    builds = await _said("build", "--all", env=env)
    assert {build["sha"]: build["state"] for build in builds}[sha] == "succeeded"
    binders = await _said("list", "--repository", REPOSITORY, env=env)
    assert {(one["ref"], one["sha"], one["state"]) for one in binders} >= {("main", sha, "succeeded")}
    log = await typed("logs", str(builds[0]["build"]), "--follow", env=env)
    assert "==> " in log.output

    ended = await typed("deploy", REPOSITORY, "--ref", sha, env=env)
    assert (ended.code, ended.output.count("\n")) == (0, 1), ended.complaint
    parts = urlsplit(ended.output.strip())
    token, session = parse_qs(parts.query)["token"][0], parts.path.split("/")[2]
    base = f"{stage.url}/s/{session}/"
    assert (await run_cell(base, token, "print(open('index.ipynb').read().count('6 * 11'))")).strip() == "1"
    assert "ServerApp" in (await typed("logs", session, env=env)).output
    assert session in {row["session"] for row in await _said("list", "sessions", env=env)}
    assert (await typed("stop", session, env=env)).code == 0
    await stage.until(f"select 1 from sessions where id = '{session}' and state = 'ended'")

    ended = await typed("render", str(builds[0]["build"]), "--engine", "kubernetes", env=env)
    assert [one["kind"] for one in json.loads(ended.output)["items"]] == ["Secret", "Pod"]
    unknown = await typed("build", "ada/nowhere", env=env)
    assert (unknown.code, unknown.output) == (2, "")
    assert "ada/nowhere is not known, or has no branch, tag or commit 'HEAD'." in unknown.complaint


async def test_the_api_is_nothing_to_others(stage: Stage) -> None:
    async with httpx.AsyncClient(base_url=stage.url) as client:
        for path in ("/api/about", "/api/lists/sessions", "/api/cluster", "/api/builds/1/log"):
            for headers in ({}, {"Authorization": "Bearer nothing"}, {"Authorization": "Basic YTpi"}):
                answer = await client.get(path, headers=headers)
                assert answer.status_code == 401
                assert "sessions" not in answer.text
        crossed = await client.post("/api/stop", json={"all": True}, headers={"Origin": "https://evil.example"})
        assert crossed.status_code == 401
