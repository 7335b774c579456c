"""Apps that are made from a manifest, and installed on a page."""

import asyncio
import html
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from github import Auth, GithubIntegration

from tests.githubapp.sandbox.conftest import Rest, Stage

_BACK = "http://127.0.0.1:9/setup/back"


def _manifest(stage: Stage, **changed: object) -> str:
    manifest = {
        "name": "Binder of Bob",
        "url": "http://binder.example.org",
        "hook_attributes": {"url": stage.receiver.url},
        "redirect_url": _BACK,
        "callback_urls": ["http://127.0.0.1:9/sign-in"],
        "setup_url": "http://127.0.0.1:9/installed",
        "public": False,
        "default_permissions": {"contents": "read", "checks": "write"},
        "default_events": ["push", "check_run"],
    }
    return json.dumps({**manifest, **changed})


def _hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in found}


async def _agree(stage: Stage, browser: httpx.AsyncClient, **sent: str) -> httpx.Response:
    """What the person's browser does: comes from elsewhere with a manifest, and agrees."""
    page = await browser.post(
        "/settings/apps/new?state=s%26t",
        data={"manifest": _manifest(stage)},
        headers={"origin": "http://elsewhere.example.org"},
    )
    assert page.status_code == 200
    assert "Create GitHub App</button>" in page.text
    assert "form-action 'self' http://127.0.0.1:9" in page.headers["content-security-policy"]
    return await browser.post(
        "/settings/apps/create", data={**_hidden(page.text), "name": "Binder of Bob", "login": "bob", **sent}
    )


async def test_an_app_is_made_from_a_manifest(stage: Stage, rest: Rest, browser: httpx.AsyncClient) -> None:
    agreed = await _agree(stage, browser)
    there = urlsplit(agreed.headers["location"])
    query = parse_qs(there.query)
    assert (agreed.status_code, there.path, query["state"]) == (302, "/setup/back", ["s&t"])
    path = f"/app-manifests/{query['code'][0]}/conversions"
    made: dict[str, Any] = (await rest("POST", path)).json()
    assert (made["slug"], made["name"], made["owner"]["login"]) == ("binder-of-bob", "Binder of Bob", "bob")
    assert made["permissions"] == {"metadata": "read", "contents": "read", "checks": "write"}
    assert made["events"] == ["push", "check_run"]
    assert (await rest("POST", path)).status_code == 404, "a code is good once"

    def sign_in() -> str:
        auth = Auth.AppAuth(made["id"], made["pem"])
        with GithubIntegration(auth=auth, base_url=stage.sandbox.api_url, seconds_between_requests=None) as app:
            return app.get_app().slug

    assert await asyncio.to_thread(sign_in) == "binder-of-bob"
    app = stage.sandbox.world.state.apps[made["id"]]
    assert (app.webhook_secret, app.client_secret, app.client_id) == (
        made["webhook_secret"],
        made["client_secret"],
        made["client_id"],
    )
    assert await stage.heard() == ["ping"]


async def test_a_code_is_good_for_an_hour(stage: Stage, rest: Rest, browser: httpx.AsyncClient) -> None:
    agreed = await _agree(stage, browser)
    code = parse_qs(urlsplit(agreed.headers["location"]).query)["code"][0]
    codes = stage.sandbox.world.state.manifest_codes
    codes[code] = replace(codes[code], expires_at=codes[code].expires_at - timedelta(hours=1))
    assert (await rest("POST", f"/app-manifests/{code}/conversions")).status_code == 404
    assert (await rest("POST", "/app-manifests/unknown/conversions")).status_code == 404


async def test_an_app_of_an_organization(stage: Stage, rest: Rest, browser: httpx.AsyncClient) -> None:
    await stage.sandbox.create_user("lab", kind="Organization")
    page = await browser.post("/organizations/lab/settings/apps/new", data={"manifest": _manifest(stage)})
    agreed = await browser.post("/settings/apps/create", data={**_hidden(page.text), "name": "Binder"})
    assert agreed.status_code == 422, "the name is taken"
    agreed = await browser.post("/settings/apps/create", data={**_hidden(page.text), "name": "Lab's Binder"})
    query = parse_qs(urlsplit(agreed.headers["location"]).query)
    assert "state" not in query
    made = (await rest("POST", f"/app-manifests/{query['code'][0]}/conversions")).json()
    assert (made["slug"], made["owner"]["login"]) == ("lab-s-binder", "lab")


@pytest.mark.parametrize(
    "changed",
    [
        {"url": None},
        {"redirect_url": "javascript:alert(1)"},
        {"hook_attributes": "x"},
        {"hook_attributes": {"url": ""}},
        {"default_events": "push"},
        {"default_permissions": {"contents": "all"}},
        {"name": ""},
    ],
)
async def test_wrong_manifests_are_refused(stage: Stage, browser: httpx.AsyncClient, changed: dict[str, Any]) -> None:
    answer = await browser.post("/settings/apps/new", data={"manifest": _manifest(stage, **changed)})
    assert (answer.status_code, "That was not done" in answer.text) == (422, True)


async def test_no_manifest_and_forms_of_other_sites(stage: Stage, browser: httpx.AsyncClient) -> None:
    for text in ("", "{", "[]"):
        assert (await browser.post("/settings/apps/new", data={"manifest": text})).status_code == 422
    refused = await browser.post(
        "/settings/apps/create",
        data={"manifest": _manifest(stage), "login": "bob"},
        headers={"origin": "http://elsewhere.example.org"},
    )
    assert refused.status_code == 403
    assert stage.sandbox.world.state.manifest_codes == {}


async def test_an_app_is_installed_on_a_page(stage: Stage, browser: httpx.AsyncClient) -> None:
    await stage.sandbox.create_repository("bob/his")
    assert (await browser.get("/apps/binder")).headers["location"] == "/apps/binder/installations/new"
    assert "bob/his" in (await browser.get("/apps/binder/installations/new")).text
    done = await browser.post("/apps/binder/installations/new", data={"login": "bob", "repository bob/his": "yes"})
    assert done.status_code == 303
    assert await stage.heard() == ["installation.created"]
    (payload,) = stage.receiver.of("installation")
    assert [one["full_name"] for one in payload["repositories"]] == ["bob/his"]
    assert (await browser.get("/apps/nothing")).status_code == 404


async def test_whoever_installed_an_app_is_sent_to_its_own_page(
    stage: Stage, rest: Rest, browser: httpx.AsyncClient
) -> None:
    code = parse_qs(urlsplit((await _agree(stage, browser)).headers["location"]).query)["code"][0]
    await rest("POST", f"/app-manifests/{code}/conversions")
    done = await browser.post("/apps/binder-of-bob/installations/new", data={"login": "bob"})
    there = urlsplit(done.headers["location"])
    assert (done.status_code, there.path) == (302, "/installed")
    assert parse_qs(there.query)["setup_action"] == ["install"]
