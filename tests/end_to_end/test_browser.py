"""What a visitor sees, in Debian's Chromium: from the commit's page to a cell that prints."""

from uuid import uuid4

import pytest
from playwright.async_api import Browser, expect

from tests.browser import PATIENCE_MS, expect_first_output, run_first_cell_of
from tests.stage import NOTEBOOK, REPOSITORY, Stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]


async def test_from_the_commits_page_to_a_cell_that_prints(stage: Stage, browser: Browser) -> None:
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", "6 * 9")})
    assert (await stage.final_status(sha)).state == "success"
    page = await browser.new_page()
    await run_first_cell_of(page, f"{stage.sandbox.url}/{REPOSITORY}/commit/{sha}", "index.ipynb")
    await expect_first_output(page, "54")
    await expect(page.get_by_text("Jupyter news")).not_to_be_visible()
    await page.close()


async def test_the_launch_page_shows_the_build_and_goes_on_to_the_notebook(stage: Stage, browser: Browser) -> None:
    # What was built before, here or in an earlier run, would not be built again.
    script = f"#!/bin/sh\necho a step that takes its time\nsleep 3  # {uuid4()}\n"
    sha = await stage.push({"postBuild": script}, branch="slow", executable="postBuild")
    page = await browser.new_page()
    await page.goto(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?labpath=index.ipynb")
    await expect(page.get_by_text("a step that takes its time")).to_be_visible(timeout=PATIENCE_MS)
    await page.wait_for_url("**/s/**", timeout=PATIENCE_MS)
    await expect(page.locator(".jp-Notebook .jp-CodeCell").first).to_be_visible(timeout=PATIENCE_MS)
    assert "token" not in page.url
    await page.close()


async def test_the_page_of_a_failed_build_names_the_line(stage: Stage, browser: Browser) -> None:
    sha = await stage.push({"requirements.txt": "six\nnosuchpackage-for-browsers\n"}, branch="bad")
    assert (await stage.final_status(sha)).state == "failure"
    page = await browser.new_page()
    await page.goto(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}")
    await expect(page.get_by_text("requirements.txt line 2").first).to_be_visible()
    await page.get_by_role("link", name="Read the log").click()
    await expect(page.locator("details.step[open]")).to_contain_text("nosuchpackage-for-browsers")
    await expect(page.locator("#at-fault")).to_be_in_viewport()
    await page.close()
