"""A service without an App gets one in a browser, and works as it at once: no restart, no key in anybody's hands."""

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from binder.cli.child import running_child
from binder.cli.demo import take_port
from binder.cli.git import git, sign_in
from binder.settings import read_settings
from githubapp.sandbox.sandbox import Sandbox
from githubapp.sandbox.server import running_sandbox
from tests.stage import REPOSITORY, running_stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]

_REPOSITORY = "ada/notes"


@dataclass(frozen=True)
class Bare:
    """The stand-in with Ada's repository on it, and the settings of a service that has no App."""

    sandbox: Sandbox
    home: Path
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where the service is reached."""
        return self.environment["BINDER_URL"]

    async def binder(self, command: str) -> tuple[int, str]:
        """Run a command as the operator would."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "binder", command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **self.environment},
        )
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def push_is_noticed(self, text: str) -> None:
        """Push a commit to Ada's repository, and wait for its status."""
        folder = self.home / "notes"
        if not folder.exists():
            folder.mkdir()
            await git(folder, "init", "--quiet", "--initial-branch=main")
            await git(folder, "remote", "add", "origin", f"{self.sandbox.url}/{_REPOSITORY}.git")
        (folder / "README.md").write_text(text, encoding="utf-8")
        await git(folder, "add", "--all")
        await git(folder, "commit", "--quiet", "--message", text)
        token = self.sandbox.world.account("ada").token or ""
        await git(folder, "push", "--quiet", "origin", "main", env=sign_in("ada", token))
        sha = await git(folder, "rev-parse", "HEAD")
        await self.sandbox.wait_for_status(
            _REPOSITORY, sha=sha, context="binder", states=["pending", "success", "failure", "error"]
        )


async def _bare(sandbox: Sandbox, home: Path) -> Bare:
    await sandbox.create_user("ada")
    await sandbox.create_repository(_REPOSITORY)
    usual, listen = read_settings(), f"127.0.0.1:{take_port(0, '')}"
    environment = {
        "BINDER_STATE_DIR": str(home / "service"),
        "BINDER_CACHE_DIR": str(usual.cache_dir),
        "BINDER_BUILD_ACCOUNT": usual.build_account,
        "BINDER_URL": f"http://{listen}",
        "BINDER_LISTEN": listen,
        "BINDER_GITHUB_URL": sandbox.url,
        "BINDER_GITHUB_API_URL": sandbox.api_url,
    }
    return Bare(sandbox, home, environment)


async def test_an_app_is_set_up_in_a_browser_and_works_at_once_and_after_a_restart(
    home: Path, browser: Browser
) -> None:
    (home / "github").mkdir()
    async with running_sandbox(home / "github") as sandbox:
        bare = await _bare(sandbox, home)
        code, said = await bare.binder("setup")
        assert (code, "Start `binder serve` first" in said) == (4, True)
        async with running_child(bare.url, bare.environment, home / "service.log"):
            code, said = await bare.binder("setup")
            assert code == 0, said
            (word,) = re.findall(r"(?:[A-Z2-7]{5}-){3}[A-Z2-7]{5}", said)
            await _set_up(await browser.new_page(), bare.url, word)
            await bare.push_is_noticed("One")
            code, said = await bare.binder("setup")
            assert (code, "already" in said) == (4, True)
            code, said = await bare.binder("doctor")
            assert (code, "has what it needs" in said) == (0, True), said
        async with running_child(bare.url, bare.environment, home / "service.log"):
            await bare.push_is_noticed("Two")
        log = (home / "service.log").read_text(encoding="utf-8")
        (app,) = sandbox.world.state.apps.values()
        for secret in (word, word.replace("-", ""), app.webhook_secret, "PRIVATE KEY"):
            assert secret not in log


async def test_behind_a_firewall_deliveries_are_fetched(home: Path) -> None:
    async with running_stage(home, settings={"BINDER_GITHUB_DELIVERIES": "pull"}) as stage:
        (app,) = stage.sandbox.world.state.apps.values()
        # Nobody listens there: whatever GitHub sends is lost.
        await stage.sandbox.set_webhook(app.id, webhook_url="http://127.0.0.1:9/webhooks/github")
        sha = await stage.push({"README.md": "# Hello\n"})
        await stage.sandbox.wait_for_status(
            REPOSITORY, sha=sha, context="binder", states=["pending", "success"], timeout_seconds=60
        )
        pushes = [one for one in await stage.sandbox.deliveries() if one.event == "push"]
        assert [one.status_code for one in pushes] == [0]


async def _set_up(page: Page, url: str, code: str) -> None:
    """Go through the pages from the code to the installation, pressing every button on the way."""
    await page.goto(f"{url}/setup")
    await page.get_by_label("Code").fill(code)
    await page.get_by_role("button", name="Begin").click()
    await expect(page.get_by_label("Name of the App")).to_have_value("Binder 127.0.0.1")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_text("Fetches the commits that are built.")).to_be_visible()
    await page.get_by_role("button", name="Create the App").click()
    await page.get_by_role("button", name="Create GitHub App").click()
    await page.get_by_role("button", name="Install").click()
    await expect(page.get_by_role("heading", name="It is installed")).to_be_visible()
    assert page.url.startswith(f"{url}/setup/installed?installation_id=")
    await page.goto(f"{url}/setup")
    await expect(page.get_by_text("this page is closed")).to_be_visible()
    await page.close()
