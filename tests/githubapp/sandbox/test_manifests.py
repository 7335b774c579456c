"""Registering an App from a manifest, as a person's browser and the App's service do it."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from githubapp.sandbox.sandbox import Sandbox
from githubapp.sandbox.values import Delivery

HERE = "http://binder.example.org"


def manifest(**more: object) -> dict[str, object]:
    return {
        "name": "My Binder",
        "url": HERE,
        "redirect_url": f"{HERE}/created?already=1",
        "setup_url": f"{HERE}/installed",
        "hook_attributes": {"url": "http://127.0.0.1:9/hook", "active": True},
        "default_permissions": {"contents": "read"},
        "default_events": ["push", "repository"],
        **more,
    }


@pytest.fixture
async def browser(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """A browser, and two accounts."""
    await sandbox.create_user("ada")
    await sandbox.create_user("jupyter", kind="Organization")
    async with httpx.AsyncClient(base_url=sandbox.url, trust_env=False) as client:
        yield client


async def register(browser: httpx.AsyncClient, asked: dict[str, object], owner: str = "ada") -> dict[str, str]:
    form = {"manifest": json.dumps(asked), "state": "the state", "owner": owner, "name": "My Binder"}
    answer = await browser.post("/settings/apps/manifest", data=form)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{HERE}/created?already=1&")
    return {name: one for name, (one,) in parse_qs(urlsplit(answer.headers["location"]).query).items()}


async def convert(browser: httpx.AsyncClient, code: str) -> httpx.Response:
    return await browser.post(f"/api/v3/app-manifests/{code}/conversions")


async def test_the_page_shows_what_is_asked_for(browser: httpx.AsyncClient) -> None:
    form = {"manifest": json.dumps(manifest())}
    page = (await browser.post("/organizations/jupyter/settings/apps/new?state=s", data=form)).text
    for said in ("My Binder", "contents", "push, repository", 'value="s"', "<option>jupyter</option>"):
        assert said in page
    assert "<option>ada</option>" not in page
    assert "<option>ada</option>" in (await browser.post("/settings/apps/new", data=form)).text


async def test_a_code_is_traded_once(browser: httpx.AsyncClient, sandbox: Sandbox) -> None:
    back = await register(browser, manifest(), owner="jupyter")
    assert back["state"] == "the state"
    answer = await convert(browser, back["code"])
    assert answer.status_code == 201
    app = answer.json()
    assert (app["slug"], app["name"], app["owner"]["login"]) == ("my-binder", "My Binder", "jupyter")
    assert app["permissions"] == {"metadata": "read", "contents": "read"}
    assert "PRIVATE KEY" in app["pem"]
    assert app["webhook_secret"] == sandbox.world.state.apps[app["id"]].webhook_secret
    assert (await convert(browser, back["code"])).status_code == 404


async def test_without_a_hook_there_is_no_secret(browser: httpx.AsyncClient) -> None:
    asked = manifest()
    del asked["hook_attributes"]
    back = await register(browser, asked)
    assert (await convert(browser, back["code"])).json()["webhook_secret"] is None


async def test_an_app_is_installed_and_leads_to_its_setup_url(browser: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await register(browser, manifest())
    page = await browser.get("/apps/my-binder/installations/new")
    assert re.search(r"<option>ada</option>\s*<option>jupyter</option>", page.text)
    answer = await browser.post("/apps/my-binder/installations/new", data={"account": "ada"})
    (installed,) = sandbox.world.state.installations.values()
    assert answer.headers["location"] == f"{HERE}/installed?installation_id={installed.id}&setup_action=install"
    await sandbox.settled()
    newest: Delivery = (await sandbox.deliveries())[0]
    assert (newest.event, newest.action) == ("installation", "created")
    assert (await browser.get("/apps/other/installations/new")).status_code == 404


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": None}, '"url" wasn\'t supplied'),
        ({"hook_attributes": {"active": False}}, '"url" wasn\'t supplied'),
        ({"name": "x" * 35}, "too long"),
        ({"default_events": ["push", "member"]}, "unsupported: member"),
        ({"default_events": ["installation"]}, "unsupported: installation"),
        ({"callback_urls": [HERE] * 11}, "more than 10"),
    ],
)
async def test_a_manifest_that_github_refuses(browser: httpx.AsyncClient, change: dict[str, Any], message: str) -> None:
    answer = await browser.post("/settings/apps/new", data={"manifest": json.dumps(manifest(**change))})
    assert answer.status_code == 422
    assert message in answer.text.replace("&#34;", '"').replace("&#39;", "'")


@pytest.mark.parametrize("text", ["", "no json", "[]"])
async def test_what_is_no_manifest(browser: httpx.AsyncClient, text: str) -> None:
    assert (await browser.post("/settings/apps/new", data={"manifest": text})).status_code == 422
