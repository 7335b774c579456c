"""The whole path in a browser: a link, the page that waits, HAProxy, a session. Only builder and engine are played."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from sqlalchemy import select
from starlette.applications import Starlette

from binder.lifecycle import BuildState, SessionState
from binder.store import Store
from binder.store.queries import advance_build, advance_session
from binder.store.tables import Build, Session, utc_now
from proxy.context import ProxyContext
from proxy.haproxy import run_haproxy, service_socket
from proxy.pages import routes
from proxy.routes import RouteKeeper, stored_routes
from tests.proxy.door import PRIVATE, Door, open_door
from tests.proxy.fakes import FakeResolver
from tests.proxy.rows import IMAGE, SHA, add_build, add_log, add_preview, add_repository, add_session, session_of
from tests.proxy.upstreams import application_on_socket, mirror

pytestmark = pytest.mark.slow

_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@dataclass
class Service:
    """The visitors' part of the service, and where its sessions go."""

    context: ProxyContext
    target: str

    @property
    def store(self) -> Store:
        """The store."""
        return self.context.store

    async def advance(self, build: Build, *states: BuildState) -> None:
        """Play the builder."""
        for state in states:
            async with self.store.write() as session:
                row = await session.get_one(Build, build.id)
                row.result = {"image": IMAGE}
                advance_build(row, state, utc_now())

    async def start_wanted_sessions(self) -> None:
        """Play the engine, for ever."""
        while True:
            async with self.store.write() as session:
                for row in await session.scalars(select(Session).where(Session.state == SessionState.WANTED)):
                    advance_session(row, SessionState.STARTING, utc_now())
                    row.target = self.target
                    advance_session(row, SessionState.STANDBY, utc_now())
            await asyncio.sleep(0.2)


@pytest.fixture
async def service(context: ProxyContext) -> AsyncIterator[Service]:
    """The pages behind a real HAProxy."""
    store, paths = context.store, context.paths
    async with run_haproxy(context.settings, paths, partial(stored_routes, store)) as haproxy, mirror("one") as target:
        keeper = RouteKeeper(store, haproxy.runtime)
        real = replace(context, haproxy=haproxy.runtime, keeper=keeper, resolver=FakeResolver())
        async with application_on_socket(Starlette(routes=routes(real)), service_socket(paths)):
            yield Service(real, target)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_QUIET)
        yield started
        await started.close()


async def page_of(browser: Browser, service: Service, *, with_script: bool = True) -> Page:
    """Return a visitor's page."""
    visitor = await browser.new_context(base_url=service.context.settings.url, java_script_enabled=with_script)
    return await visitor.new_page()


@pytest.mark.parametrize("with_script", [True, False], ids=["script", "no-script"])
async def test_a_waiting_page_follows_the_build_and_goes_on_by_itself(
    browser: Browser, service: Service, with_script: bool
) -> None:
    repository = await add_repository(service.store)
    await add_preview(service.store, repository, "main")
    now, result = utc_now(), {"image": IMAGE, "seconds": {"fetch": 4, "content": 4}}
    began = now - timedelta(seconds=10)
    await add_build(service.store, repository, sha="1" * 40, result=result, started_at=began, finished_at=now)
    page = await page_of(browser, service, with_script=with_script)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    await page.goto("/v2/gh/ada/notebooks/main?labpath=a%20b.ipynb")
    assert await page.title() == "Opening ada/notebooks · Binder"
    async with service.store.read() as session:
        build = (await session.scalars(select(Build).where(Build.sha == SHA))).one()
    await add_log(service.store, build, "Resolved 14 packages\n")
    await service.advance(build, BuildState.FETCHING, BuildState.BUILDING)
    await page.wait_for_selector("li.now:has-text('Building the environment')")
    assert await page.inner_text("#facts") == "Last time 10 s"
    assert int(await page.get_attribute("#share", "value") or 0) >= 40
    if with_script:
        await page.wait_for_selector("#log:has-text('Resolved 14 packages')")
    await service.advance(build, BuildState.PUSHING, BuildState.CHECKING, BuildState.SUCCEEDED)
    engine = asyncio.create_task(service.start_wanted_sessions())
    try:
        await page.wait_for_url("**/doc/tree/a%20b.ipynb", timeout=15_000)
    finally:
        engine.cancel()
    assert '"name": "one"' in await page.content()
    assert faults == []


async def test_a_build_that_fails_while_one_waits_is_shown(browser: Browser, service: Service) -> None:
    repository = await add_repository(service.store)
    build = await add_build(service.store, repository, BuildState.BUILDING)
    page = await page_of(browser, service)
    await page.goto(f"/v2/gh/ada/notebooks/{SHA}")
    fault = {"party": "repository", "message": "No such package.", "file": "requirements.txt", "line": 3, "step": None}
    async with service.store.write() as session:
        row = await session.get_one(Build, build.id)
        row.fault = fault
        advance_build(row, BuildState.FAILED, utc_now())
    await page.wait_for_selector("h1:has-text('could not be built')")
    assert "line 3" in await page.inner_text("[role=alert]")


async def test_the_log_of_a_build_grows_on_its_page_under_the_right_numbers(browser: Browser, service: Service) -> None:
    build = await add_build(service.store, await add_repository(service.store), BuildState.BUILDING)
    await add_log(service.store, build, "==> Fetching  [10:00:00]\none\n")
    page = await page_of(browser, service)
    await page.goto(f"/builds/{build.id}")
    await add_log(service.store, build, "two <b>\n==> Installing  [10:00:05]\nthree\n")
    await page.wait_for_selector("#L5 + span:has-text('three')")
    assert await page.inner_text("#L3 + span") == "two <b>\n"
    assert await page.inner_text("summary#L4 .title") == "Installing"
    assert await page.inner_text("details:has(#L3) summary .title") == "Fetching"
    await service.advance(build, BuildState.PUSHING)
    await page.wait_for_selector("#state:has-text('Storing the image')")
    await service.advance(build, BuildState.CHECKING, BuildState.SUCCEEDED)
    await page.wait_for_selector(".state.succeeded")


@pytest.mark.parametrize("with_script", [True, False], ids=["script", "no-script"])
async def test_a_line_of_a_folded_step_is_shown_by_its_address(
    browser: Browser, service: Service, with_script: bool
) -> None:
    build = await add_build(service.store, await add_repository(service.store))
    text = "==> Fetching  [10:00:00]\none\n==> Installing  [10:00:05]\nthree\n"
    await add_log(service.store, build, text)
    page = await page_of(browser, service, with_script=with_script)
    await page.goto(f"/builds/{build.id}")
    assert not await page.is_visible("#L2")
    assert await page.is_visible("#L4")
    await page.goto(f"/builds/{build.id}#L2")
    await page.wait_for_selector("#L2", state="visible")


async def test_a_line_of_another_page_is_found_by_its_address(browser: Browser, service: Service) -> None:
    build = await add_build(service.store, await add_repository(service.store))
    await add_log(service.store, build, "".join(f"line {number}\n" for number in range(1, 12_001)))
    page = await page_of(browser, service)
    await page.goto(f"/builds/{build.id}#L11000")
    await page.wait_for_selector("#L11000 + span:has-text('line 11000')")
    await page.goto(f"/builds/{build.id}#L12001")
    await page.wait_for_url("**?line=12001#L12001")  # there is none: it is looked for once


async def test_the_link_and_its_badge_are_made_while_one_types(browser: Browser, service: Service) -> None:
    page = await page_of(browser, service)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    await page.goto("/")
    await page.locator("#repository").press_sequentially("ada/notebooks")
    link, url = page.locator("pre[aria-label=Link]"), service.context.settings.url
    await expect(link).to_have_text(f"{url}/v2/gh/ada/notebooks/HEAD")
    await page.fill("#ref", "v1")
    await page.fill("#path", "a b.ipynb")
    await expect(link).to_have_text(f"{url}/v2/gh/ada/notebooks/v1?labpath=a%20b.ipynb")
    await expect(page.get_by_role("button", name="Copy Markdown")).to_be_visible()
    # What is half typed is not wrong yet; once one goes on, it is.
    await page.fill("#repository", "ada")
    await expect(link).to_have_count(0)
    await expect(page.locator("#fault")).to_be_hidden()
    await page.locator("#repository").blur()
    await expect(page.get_by_role("alert")).to_contain_text("OWNER/NAME")
    # An address says where it is, and a record has no branches.
    await page.fill("#repository", "https://doi.org/10.5281/zenodo.3242074")
    await expect(link).to_have_text(f"{url}/v2/zenodo/10.5281/zenodo.3242074?labpath=a%20b.ipynb")
    await expect(page.locator("#fault")).to_be_hidden()
    await expect(page.locator("#ref")).to_be_disabled()
    await page.fill("#repository", "")
    await expect(link).to_have_count(0)
    assert faults == []


async def test_without_a_script_a_button_makes_the_link(browser: Browser, service: Service) -> None:
    page = await page_of(browser, service, with_script=False)
    await page.goto("/")
    await page.select_option("select[name=provider]", "zenodo")
    await page.fill("#repository", "10.5281/zenodo.3242074")
    await page.get_by_role("button", name="Make the link").click()
    wanted = f"{service.context.settings.url}/v2/zenodo/10.5281/zenodo.3242074"
    await expect(page.locator("pre[aria-label=Link]")).to_have_text(wanted)


async def test_a_standby_is_entered_without_a_page_between(browser: Browser, service: Service) -> None:
    build = await add_build(service.store, await add_repository(service.store))
    standby = await add_session(service.store, build, target=service.target)
    page = await page_of(browser, service)
    answer = await page.goto(f"/v2/gh/ada/notebooks/{SHA}")
    assert answer is not None
    assert (answer.status, page.url) == (200, f"{service.context.settings.url}/s/{standby.id}/")
    # Another visitor has no part in it, and an ended session offers to start again.
    other = await page_of(browser, service)
    await other.goto(page.url + "lab/tree/x.ipynb")
    assert await other.inner_text("h1") == "This session has ended"
    await other.click("text=Start again")
    await other.wait_for_selector("h1:has-text('Opening ada/notebooks')")
    assert (await session_of(service.store, standby.id)).state is SessionState.OPEN


_LAUNCH_FROM_ELSEWHERE = """async (build) => {
  const ready = await new Promise((resolve, reject) => {
    const events = new EventSource(build);
    events.onmessage = (event) => {
      const told = JSON.parse(event.data);
      if (told.phase === "ready") { events.close(); resolve(told); }
    };
    events.onerror = () => reject(new Error("no stream"));
  });
  const headers = { Authorization: `token ${ready.token}`, "Content-Type": "application/json" };
  const kernels = await fetch(`${ready.url}api/kernels`, { method: "POST", headers, body: "{}" });
  const end = await fetch(`${ready.url}api/shutdown?token=${ready.token}`, { method: "POST" });
  const without = await fetch(`${ready.url}api/kernels`, { credentials: "include" }).catch(() => "refused");
  return [(await kernels.json()).name, (await end.json()).name, without];
}"""


async def test_a_page_of_another_site_can_show_a_session_live(browser: Browser, service: Service) -> None:
    build = await add_build(service.store, await add_repository(service.store))
    await add_session(service.store, build, target=service.target)
    page = await page_of(browser, service)
    url = service.context.settings.url
    async with mirror("elsewhere") as other:
        await page.goto(f"http://{other}/")
        answers = await page.evaluate(_LAUNCH_FROM_ELSEWHERE, f"{url}/build/gh/ada/notebooks/{SHA}")
    assert answers == ["one", "one", "refused"]


async def test_a_session_is_opened_by_an_address_with_its_token(browser: Browser, service: Service) -> None:
    """As the pages of other binders open it, which know where it is from the build API."""
    build = await add_build(service.store, await add_repository(service.store))
    session = await add_session(service.store, build, SessionState.OPEN, target=service.target)
    await service.context.keeper.ensure_route(session)
    page = await page_of(browser, service)
    await page.goto(f"/s/{session.id}/lab?token={session.token}")
    name = f"fetch('/s/{session.id}/api').then((answer) => answer.json()).then((seen) => seen.name)"
    assert await page.evaluate(name) == "one"


async def test_who_may_read_a_private_repository_signs_in_and_a_stranger_finds_nothing(
    browser: Browser, service: Service, tmp_path: Path
) -> None:
    async with open_door(service.context, tmp_path) as door, private_pages(service, door):
        await add_preview(door.store, door.secret, "main")
        waiting = await add_session(door.store, await add_build(door.store, door.secret), target=service.target)
        link = f"/v2/gh/{PRIVATE}/main?labpath=a.ipynb"
        pages = {login: await page_of(browser, service) for login in ("eve", "ada")}
        for login, page in pages.items():
            await page.goto(link)
            await page.click("text=Sign in with GitHub")
            await page.select_option("select[name=login]", login)
            await page.click("button[value=yes]")
            await page.wait_for_url("**/v2/**" if login == "eve" else "**/s/**")
        assert "that you may see" in await pages["eve"].content()
        ada = pages["ada"]
        assert ada.url.endswith(f"/s/{waiting.id}/doc/tree/a.ipynb")
        seen = await ada.content()
        assert '"name": "one"' in seen
        assert "binder-visitor" not in seen, "the session is not told who is signed in"
        assert await ada.evaluate("document.cookie") == ""
        assert waiting.token not in ada.url + await ada.title()
        answer = await pages["eve"].goto(f"/s/{waiting.id}/")
        assert answer
        assert answer.status == 404


@asynccontextmanager
async def private_pages(service: Service, door: Door) -> AsyncIterator[None]:
    """Have the service behind HAProxy answer as one that people sign in to."""
    async with application_on_socket(Starlette(routes=routes(door.context)), service_socket(service.context.paths)):
        yield
