"""The pages of set-up, as a browser asks for them: closed to strangers, and to everybody once there is an App."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from binder.app_manifest import EVENTS, PERMISSIONS
from binder.settings import Settings
from binder.store.tables import utc_now
from githubapp.sandbox.sandbox import Sandbox
from githubapp.sandbox.server import running_sandbox
from githubapp.setup_code import make_code
from githubapp.stored_app import read_app
from proxy.context import ProxyContext


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """The stand-in for GitHub, with Ada on it."""
    async with running_sandbox(tmp_path) as running:
        await running.create_user("ada")
        await running.create_user("jupyter", kind="Organization")
        yield running


@pytest.fixture
def settings(settings: Settings, sandbox: Sandbox) -> Settings:
    """Settings of a service that has no App."""
    return settings.model_copy(update={"github_url": sandbox.url, "github_api_url": sandbox.api_url})


@pytest.fixture
async def operator(visitor: httpx.AsyncClient, context: ProxyContext) -> httpx.AsyncClient:
    """A browser that has brought the code."""
    code = make_code(context.paths.github, utc_now())
    assert (await visitor.post("/setup", data={"code": code})).status_code == 303
    return visitor


async def come_back(operator: httpx.AsyncClient, sandbox: Sandbox) -> str:
    """Press the buttons up to GitHub's; return the path that GitHub leads back to."""
    page = html.unescape((await operator.get("/setup?name=Binder&organization=jupyter")).text)
    (action,) = re.findall(r'<form action="(http[^"]*)"', page)
    (manifest,) = re.findall(r'name="manifest" value="(\{.*\})"', page)
    async with httpx.AsyncClient(trust_env=False) as browser:
        assert (await browser.post(action, data={"manifest": manifest})).status_code == 200
        state = parse_qs(urlsplit(action).query)["state"][0]
        form = {"manifest": manifest, "state": state, "login": "jupyter", "name": "Binder"}
        location = (await browser.post(f"{sandbox.url}/settings/apps/create", data=form)).headers["location"]
    parts = urlsplit(location)
    assert f"{parts.scheme}://{parts.netloc}" == str(operator.base_url)
    return f"{parts.path}?{parts.query}"


async def test_a_stranger_is_asked_for_the_code_and_shown_nothing_else(visitor: httpx.AsyncClient) -> None:
    for address in ("/setup", "/setup?name=Binder"):
        page = await visitor.get(address)
        assert page.status_code == 200
        assert 'name="code"' in page.text
        assert "manifest" not in page.text
        assert "set-cookie" not in page.headers
    answer = await visitor.get("/setup/created?code=0123&state=guessed")
    assert answer.status_code == 404
    assert "binder setup" in answer.text


@pytest.mark.parametrize("form", [{"code": "AAAAA-AAAAA-AAAAA-AAAAA"}, {"code": ""}, {}])
async def test_a_wrong_code_is_refused(visitor: httpx.AsyncClient, context: ProxyContext, form: dict[str, str]) -> None:
    make_code(context.paths.github, utc_now())
    answer = await visitor.post("/setup", data=form)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert 'role="alert"' in answer.text


async def test_a_code_opens_one_browser_only(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    code = make_code(context.paths.github, utc_now())
    first = await visitor.post("/setup", data={"code": code})
    assert first.status_code == 303
    cookie = first.headers["set-cookie"]
    for said in ("HttpOnly", "SameSite=lax", "Path=/setup", "Max-Age=3600"):
        assert said in cookie
    assert code not in cookie
    visitor.cookies.clear()
    assert (await visitor.post("/setup", data={"code": code})).status_code == 403


async def test_more_than_a_code_is_not_read(visitor: httpx.AsyncClient) -> None:
    assert (await visitor.post("/setup", content=b"code=" + b"A" * 2000)).status_code == 404


async def test_the_operator_sees_what_github_will_be_asked_and_why(
    operator: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    wishes = await operator.get("/setup")
    assert 'name="organization"' in wishes.text
    review = await operator.get("/setup?name=Binder&organization=jupyter")
    text = html.unescape(review.text)
    for one in PERMISSIONS:
        assert f"{one.title}: {one.level}" in text
        assert one.reason in text
    assert ", ".join(EVENTS) in text
    assert f"{sandbox.url}/organizations/jupyter/settings/apps/new?state=" in text
    assert f"form-action {sandbox.url};" in review.headers["content-security-policy"]


async def test_an_organization_that_cannot_be_is_said_at_its_field(operator: httpx.AsyncClient) -> None:
    answer = await operator.get("/setup?name=Binder&organization=a/b&public=yes")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert 'value="a/b"' in answer.text
    assert "checked" in answer.text


async def test_the_way_back_leads_on_to_the_installation_and_closes_the_pages(
    operator: httpx.AsyncClient, context: ProxyContext, sandbox: Sandbox
) -> None:
    assert (await operator.get("/setup/installed")).status_code == 404
    address = await come_back(operator, sandbox)
    answer = await operator.get(address)
    assert (answer.status_code, answer.headers["location"]) == (302, f"{sandbox.url}/apps/binder/installations/new")
    assert 'binder-setup=""' in answer.headers["set-cookie"]
    kept = read_app(context.paths.github)
    assert kept
    assert kept.client_secret not in answer.text + str(answer.headers)
    late = make_code(context.paths.github, utc_now())
    assert (await operator.get("/setup")).status_code == 404
    assert (await operator.post("/setup", data={"code": late})).status_code == 404
    assert (await operator.get(address)).status_code == 404
    assert read_app(context.paths.github) == kept


async def test_another_browser_cannot_go_the_way_back(
    operator: httpx.AsyncClient, context: ProxyContext, sandbox: Sandbox
) -> None:
    address = await come_back(operator, sandbox)
    operator.cookies.clear()
    assert (await operator.get(address)).status_code == 404
    assert read_app(context.paths.github) is None


async def test_whoever_has_installed_it_is_told_what_happens_next(
    operator: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await operator.get(await come_back(operator, sandbox))
    page = await operator.get("/setup/installed?installation_id=1&setup_action=install")
    assert page.status_code == 200
    assert "What happens next" in page.text
    asked = await operator.get('/setup/installed?setup_action=request&installation_id="><script>')
    assert "An owner has been asked" in asked.text
    assert '"><script>' not in asked.text
