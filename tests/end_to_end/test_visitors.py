"""What happens to visitors over time, in Debian's Chromium: they sign in, lose access, are idle, and come back."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from tests.stage import NOTEBOOK, REPOSITORY, Stage, running_stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]

_PATIENCE_MS = 60_000


async def test_a_private_notebook_is_for_those_who_may_read_it(home: Path, browser: Browser) -> None:
    async with running_stage(home) as stage:
        for login in ("bob", "eve"):
            await stage.sandbox.create_user(login)
        await stage.sandbox.set_private(REPOSITORY, private=True)
        await stage.sandbox.set_role(REPOSITORY, login="bob", role="read")
        sha = await stage.push({"index.ipynb": NOTEBOOK})
        assert (await stage.final_status(sha)).state == "success"
        link = f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?labpath=index.ipynb"
        eve, bob = [await (await browser.new_context()).new_page() for _ in range(2)]
        await _sign_in(eve, link, "eve")
        await expect(eve.get_by_text("that you may see")).to_be_visible()
        await _sign_in(bob, link, "bob")
        await _computes(bob)
        # Eve has the address now, and nothing else.
        await eve.goto(bob.url)
        await expect(eve.locator(".jp-Notebook")).to_have_count(0)
        assert REPOSITORY not in await eve.content()
        await stage.sandbox.revoke_sign_in(int(stage.environment["BINDER_GITHUB_APP_ID"]), login="bob")
        await _ended(stage, bob)
        await _is_gone(bob, bob.url)
        await bob.goto(link)
        await expect(bob.get_by_text("that you may see")).to_be_visible()
        for page in (eve, bob):
            await page.context.close()


async def test_who_was_idle_starts_again_at_the_same_notebook(home: Path, browser: Browser) -> None:
    async with running_stage(home, settings={"BINDER_SESSION_IDLE_SECONDS": "60"}) as stage:
        sha = await stage.push({"index.ipynb": NOTEBOOK})
        assert (await stage.final_status(sha)).state == "success"
        page = await browser.new_page()
        await page.goto(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?labpath=index.ipynb")
        await _computes(page)
        notebook = page.url
        await page.goto("about:blank")
        await _ended(stage, notebook)
        await _is_gone(page, notebook)
        await expect(page.get_by_role("heading", name="This session has ended")).to_be_visible()
        await expect(page.get_by_text("Nobody used it")).to_be_visible()
        await page.get_by_role("link", name="Start again").click()
        await _computes(page)
        assert urlsplit(page.url).path.split("/")[3:] == urlsplit(notebook).path.split("/")[3:]
        assert page.url != notebook
        await page.close()


async def _sign_in(page: Page, link: str, login: str) -> None:
    """Open a link, and sign in at the stand-in for GitHub, which leads back to it."""
    await page.goto(link)
    await page.get_by_role("link", name="Sign in with GitHub").click()
    await page.get_by_label("You are").select_option(login)
    await page.get_by_role("button", name="Authorize").click()


async def _computes(page: Page) -> None:
    await page.wait_for_url("**/s/**", timeout=_PATIENCE_MS)
    await expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=_PATIENCE_MS)
    await page.locator(".jp-Notebook .jp-CodeCell").first.click(timeout=_PATIENCE_MS)
    await page.keyboard.press("Shift+Enter")
    await expect(page.locator(".jp-OutputArea-output").first).to_have_text("42", timeout=_PATIENCE_MS)


async def _is_gone(page: Page, address: str) -> None:
    """Open a session's address until it is one no more: its route goes a moment after it."""
    for _ in range(100):
        answer = await page.goto(address)
        if answer and answer.status in {404, 410}:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{address} still answers")


async def _ended(stage: Stage, page: Page | str) -> None:
    session_id = urlsplit(page if isinstance(page, str) else page.url).path.split("/")[2]
    await stage.until(f"select 1 from sessions where id = '{session_id}' and state = 'ended'", timeout_seconds=150)
