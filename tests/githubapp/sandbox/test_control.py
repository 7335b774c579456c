"""The control surface over HTTP."""

import asyncio
import inspect
from collections.abc import AsyncIterator

import httpx
import pytest

from githubapp.sandbox.control import ADDRESSES
from githubapp.sandbox.sandbox import Sandbox
from tests.githubapp.sandbox.conftest import CONTEXT, Rest, Stage


@pytest.fixture
async def control(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{sandbox.url}/sandbox", trust_env=False, timeout=30) as client:
        yield client


def test_every_deed_has_an_address() -> None:
    deeds = {name for name, member in inspect.getmembers(Sandbox, inspect.iscoroutinefunction) if name[0] != "_"}
    assert deeds == set(ADDRESSES.values())


async def test_a_whole_story_over_http(control: httpx.AsyncClient, stage: Stage, rest: Rest) -> None:
    """What the demo does, from another process."""

    async def post(path: str, **body: object) -> httpx.Response:
        answer = await control.post(path, json=body)
        assert answer.status_code in {200, 204}, answer.text
        return answer

    token = (await post("/users", login="eve")).json()["token"]
    created = await post("/apps", webhook_url=stage.receiver.url, webhook_secret="s", owner="eve", slug="eves")
    app = created.json()
    assert app["private_key_pem"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    await post("/repositories", full_name="eve/paper", private=True)
    await post(f"/apps/{app['app_id']}/installations", account="eve", repositories=["eve/paper"])
    url = stage.sandbox.url.replace("://", f"://eve:{token}@") + "/eve/paper.git"
    await stage.checkout.push(url)
    await stage.checkout.git("checkout", "--quiet", "-b", "topic")
    sha = await stage.checkout.commit("Work", work="1")
    await stage.checkout.push(url, "HEAD:refs/heads/topic")
    pull = (await post("/repositories/eve/paper/pulls", author="eve", head="topic", title="Work")).json()
    here = f"/repositories/eve/paper/pulls/{pull['number']}"
    await post(f"{here}/comments", author="eve", body="Hello")
    assert (await control.put(f"{here}/draft", json={"draft": True})).json()["draft"] is True
    assert (await control.patch(here, json={"title": "Better"})).json()["title"] == "Better"
    assert (await post(f"{here}/close")).json()["state"] == "closed"
    waiting = asyncio.create_task(control.get(f"/repositories/eve/paper/statuses/{sha}/wait?context={CONTEXT}"))
    await asyncio.sleep(0.1)
    path = f"/repos/eve/paper/statuses/{sha}"
    assert (await rest("POST", path, token=token, json={"state": "success", "context": CONTEXT})).status_code == 201
    assert (await waiting).json()["state"] == "success"
    assert (await control.get("/settled")).status_code == 204
    listed = (await control.get("/deliveries", params={"app_id": app["app_id"]})).json()
    assert listed[0]["event"] == "pull_request"
    assert (await post(f"/deliveries/{listed[0]['id']}/attempts")).status_code == 204


async def test_waiting_has_an_end(control: httpx.AsyncClient, stage: Stage) -> None:
    path = f"/repositories/ada/demo/statuses/{stage.first_sha}/wait"
    answer = await control.get(path, params={"context": CONTEXT, "timeout_seconds": 0.1, "states": ["success"]})
    assert answer.status_code == 408


async def test_faults_over_http(control: httpx.AsyncClient, rest: Rest) -> None:
    await control.post("/faults", json={"kind": "status", "status": 500, "count": 2, "path": "rate_limit"})
    assert (await control.get("/faults")).json()[0]["count"] == 2
    assert (await rest("GET", "/rate_limit")).status_code == 500
    assert (await control.delete("/faults")).status_code == 204
    assert (await rest("GET", "/rate_limit")).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "login"),
        ({"login": {"a": 1}}, "login"),
        ({"login": "x", "colour": "red"}, "Unknown: colour"),
        ({"login": "../../etc"}, "not possible"),
    ],
)
async def test_wrong_orders_are_refused(control: httpx.AsyncClient, body: dict[str, object], said: str) -> None:
    answer = await control.post("/users", json=body)
    assert (answer.status_code, said in answer.json()["message"]) == (422, True)


async def test_other_sites_give_no_orders(control: httpx.AsyncClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await control.post("/users", content=b'{"login": "eve"}', headers={"content-type": kind})
        assert answer.status_code == 415


async def test_what_is_not_there_is_said_so(control: httpx.AsyncClient) -> None:
    assert (await control.post("/repositories/no/body/pulls/1/close", json={})).status_code == 404
    assert (await control.post("/deliveries/1/attempts", json={})).status_code == 404
    assert (await control.patch("/comments/1", json={"body": "x"})).status_code == 404
    assert (await control.post("/apps/1/installations", json={"account": "no"})).status_code == 404
