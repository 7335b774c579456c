"""A session at an origin of its own, in Debian's Chromium: it works, and its notebook reads nothing of the service."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect

from tests.stage import NOTEBOOK, REPOSITORY, running_stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]

_PATIENCE_MS = 60_000
_READ = """address => fetch(address, {credentials: 'include'}).then(answer => answer.text(), error => 'refused')"""


async def test_a_notebook_runs_at_its_own_origin(home: Path, browser: Browser) -> None:
    async with running_stage(home, settings={"BINDER_SESSIONS_HOST": "localhost"}) as stage:
        sha = await stage.push({"index.ipynb": NOTEBOOK})
        assert (await stage.final_status(sha)).state == "success"
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?labpath=index.ipynb")
        await page.wait_for_url("**/s/**", timeout=_PATIENCE_MS)
        session_id = urlsplit(page.url).path.split("/")[2]
        assert urlsplit(page.url).netloc == f"{session_id}.localhost:{stage.port}"
        await expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=_PATIENCE_MS)
        await page.locator(".jp-Notebook .jp-CodeCell").first.click(timeout=_PATIENCE_MS)
        await page.keyboard.press("Shift+Enter")
        await expect(page.locator(".jp-OutputArea-output").first).to_have_text("42", timeout=_PATIENCE_MS)
        assert "enter=" not in page.url
        assert await page.evaluate("document.referrer + document.cookie.includes('binder-session')") == "false"
        # Scripts of the notebook are scripts of this page: they may read their own origin, and no other.
        assert '"' in await page.evaluate(_READ, f"/s/{session_id}/api/status")
        assert await page.evaluate(_READ, f"{stage.url}/health") == "refused"
        cookies = {cookie["name"]: cookie["domain"] for cookie in await context.cookies()}
        assert cookies["binder-session"] == f"{session_id}.localhost"
        assert "127.0.0.1" not in cookies.values()
        await context.close()
