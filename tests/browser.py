"""Debian's Chromium, and what a visitor does with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright, expect

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PATIENCE_MS = 60_000


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Give a browser without a window."""
    assert CHROMIUM.exists(), "Chromium is not installed: `make test` installs Debian's package chromium."
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


async def run_first_cell_of(page: Page, commit_url: str, notebook: str) -> None:
    """Follow the link of the green status on a commit's page to JupyterLab, open a notebook, and run its first cell."""
    await page.goto(commit_url)
    await page.get_by_role("listitem").filter(has_text="Ready").get_by_role("link", name="Details").click()
    await page.wait_for_url("**/s/**", timeout=PATIENCE_MS)
    await page.get_by_text(notebook).first.dblclick(timeout=PATIENCE_MS)
    await expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=PATIENCE_MS)
    await page.locator(".jp-Notebook .jp-CodeCell").first.click(timeout=PATIENCE_MS)
    await page.keyboard.press("Shift+Enter")


async def expect_first_output(page: Page, text: str) -> None:
    """Wait until the first cell has printed a text."""
    await expect(page.locator(".jp-OutputArea-output").first).to_have_text(text, timeout=PATIENCE_MS)
