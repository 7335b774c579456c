"""A page of another site runs its cells here, by thebe as it is published, in Debian's Chromium."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.npm_packages import NpmPackage, installed
from tests.served import served
from tests.stage import NOTEBOOK, REPOSITORY, Stage, running_stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]

_THEBE = NpmPackage("thebe", "0.9.3", "4777b3f0c5dcee04b3e5a99fd918a9cf7cb91c3208159af2f1fb54b3c27d0899")
_PATIENCE_MS = 60_000
_PAGE = """<!doctype html>
<title>A book of somebody's</title>
<script type="text/x-thebe-config">OPTIONS</script>
<pre data-executable="true" data-language="python">print(open("index.ipynb").read().count("6 * 5"))</pre>
<script src="thebe/lib/index.js"></script>
"""


async def test_a_page_of_another_origin_runs_a_cell(stage: Stage, browser: Browser, tmp_path: Path) -> None:
    await _runs_a_cell(stage, browser, tmp_path)


async def test_it_does_so_where_sessions_have_origins_of_their_own(
    home: Path, browser: Browser, tmp_path: Path
) -> None:
    async with running_stage(home, settings={"BINDER_SESSIONS_HOST": "localhost"}) as stage:
        await _runs_a_cell(stage, browser, tmp_path)


async def _runs_a_cell(stage: Stage, browser: Browser, tmp_path: Path) -> None:
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", "6 * 5")})
    assert (await stage.final_status(sha)).state == "success"
    binder = {"binderUrl": stage.url, "repoProvider": "github", "repo": REPOSITORY, "ref": sha}
    options = {"useBinder": True, "requestKernel": True, "bootstrap": True, "binderOptions": binder}
    (tmp_path / "index.html").write_text(_PAGE.replace("OPTIONS", json.dumps(options)))
    (tmp_path / "thebe").symlink_to(installed((_THEBE,), "thebe") / "node_modules" / "thebe")
    with served(tmp_path) as address:
        page = await browser.new_page()
        # Another host as well as another port: to a browser, another site.
        async with page.expect_console_message(lambda said: "Attached to session" in said.text, timeout=_PATIENCE_MS):
            await page.goto(address.replace("127.0.0.1", "localhost"))
        await page.locator(".thebe-run-button").click(timeout=_PATIENCE_MS)
        await expect(page.locator(".jp-OutputArea-output")).to_have_text("1", timeout=_PATIENCE_MS)
        await page.close()
