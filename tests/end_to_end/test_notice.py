"""The notice in a page before its session ends, in Debian's Chromium, with limits that are short enough to wait for."""

import json
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.stage import NOTEBOOK, REPOSITORY, running_stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]

_PATIENCE_MS = 60_000
_MARK = "\u231b "
_LIMITS = {"BINDER_SESSION_IDLE_SECONDS": "60", "BINDER_SESSION_AGE_SECONDS": "110"}
# A page that is seen asks for what runs every few seconds, which is use.
_UNSEEN = "Object.defineProperty(document, 'visibilityState', {get: () => 'hidden', configurable: true})"
_SEEN = "delete document.visibilityState; document.dispatchEvent(new Event('visibilitychange'))"
_ASK = "path => fetch(path).then(answer => answer.json())"


async def test_a_visitor_is_told_before_the_session_ends(home: Path, browser: Browser) -> None:
    async with running_stage(home, settings=_LIMITS) as stage:
        sha = await stage.push({"index.ipynb": NOTEBOOK})
        assert (await stage.final_status(sha)).state == "success"
        context = await browser.new_context()
        await context.add_init_script(_UNSEEN)
        page = await context.new_page()
        await page.goto(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?labpath=index.ipynb")
        await page.wait_for_url("**/s/**", timeout=_PATIENCE_MS)
        ends = f"/s/{urlsplit(page.url).path.split('/')[2]}/binder/ends"
        idle = _notice(page, "Sessions that nobody uses are ended after 1 min.")
        aged = _notice(page, "No session may be open for longer than 2 min.")
        over = _notice(page, "This session has ended.")

        await expect(idle).to_be_visible(timeout=_PATIENCE_MS)
        assert (await page.title()).startswith(_MARK)
        told = await page.evaluate(_ASK, ends)
        await idle.get_by_role("button", name="Keep it open").click()
        await expect(_notice(page, "This session stays open until")).to_be_visible()
        await expect(idle).to_have_count(0)
        assert (await page.evaluate(_ASK, ends))["ends_at"] > told["ends_at"]
        assert not (await page.title()).startswith(_MARK)

        await page.evaluate(_SEEN)
        await page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
        await page.keyboard.type("# mine\n")
        await expect(aged).to_be_visible(timeout=_PATIENCE_MS)
        await expect(aged.get_by_role("button", name="Keep it open")).to_have_count(0)
        changed = await _download(page, aged)
        assert "# mine" in "".join(
            json.loads(changed["changes/index.ipynb"])["cells"][0]["source"]
        )  # it was saved before
        await expect(aged).to_have_count(1)

        await expect(over).to_be_visible(timeout=_PATIENCE_MS)
        # JupyterLab says of itself that the kernel died, once.
        await page.locator(".jp-Dialog").get_by_role("button", name="Ok").click()
        async with page.expect_popup() as popup:
            await over.get_by_role("button", name="Start again").click()
        again = await popup.value
        await expect(again.get_by_text("It was open for 2 min, the longest that a session may be.")).to_be_visible()
        await context.close()


def _notice(page: Page, text: str) -> Locator:
    return page.locator(".Toastify__toast").filter(has_text=text)


async def _download(page: Page, notice: Locator) -> dict[str, str]:
    """Have the changes downloaded, and return the files of the zip: name → text."""
    async with page.expect_download() as downloading:
        await notice.get_by_role("button", name="Download what I changed").click()
    with zipfile.ZipFile(await (await downloading.value).path()) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}
