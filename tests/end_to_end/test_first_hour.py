"""`docs/first-hour.md`, followed by somebody who types what stands there, and clicks what it says.

What is installed is a clone of this checkout: what is not committed is not in it.
"""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from binder.cgroups import limits_for, read_cgroup_facts
from binder.paths import Paths
from binder.process import Account
from binder.settings import read_settings
from deploy.podman import PodmanEngine
from tests.browser import PATIENCE_MS
from tests.pages import ROOT
from tests.pages import Page as Document
from tests.proxy.conftest import free_port

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]

_PAGE = Document("docs/first-hour.md", (ROOT / "docs/first-hour.md").read_text(encoding="utf-8"))
_BLOCKS = [block for block in _PAGE.blocks() if block.language == "bash"]
_BLOCK_SECONDS = 600
_DONE = "--- done ---"


@dataclass
class Shell:
    """One shell, into which all blocks are typed; a command that fails ends it."""

    process: asyncio.subprocess.Process

    async def type(self, text: str) -> str:
        """Run a block, and return what it printed."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{text}\necho; echo '{_DONE}'\n".encode())
        await self.process.stdin.drain()
        printed = ""
        async with asyncio.timeout(_BLOCK_SECONDS):
            async for line in self.process.stdout:
                if line.decode().strip() == _DONE:
                    return printed
                printed += line.decode(errors="replace")
        raise AssertionError(f"a command failed:\n{text}\n{printed}")


@asynccontextmanager
async def _shell(home: Path) -> AsyncIterator[Shell]:
    """Give a shell of somebody new on this machine; the cache folder is that of the tests."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("BINDER_", "GITHUB"))}
    process = await asyncio.create_subprocess_exec(
        *("bash", "-e", "-o", "pipefail"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=home,
        env={**ours, "HOME": str(home), "BINDER_CACHE_DIR": str(read_settings().cache_dir), "COLUMNS": "200"},
        start_new_session=True,
    )
    try:
        yield Shell(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        assert process.stdin
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 60)


@pytest.fixture
async def nothing_left(home: Path, account: Account, engine_paths: Paths) -> AsyncIterator[None]:
    """Sessions outlive the service of an operator: whatever happens, those of this test end with it."""
    yield
    paths = Paths(home / "work/state", engine_paths.cache)
    engine = PodmanEngine(paths, account, limits_for(read_cgroup_facts()))
    left = list(await engine.running())
    for session in left:
        await engine.stop(session)
    assert not left, "the page leaves sessions behind"


async def _create_app(page: Page, said: str) -> None:
    """Do what the numbered list of the page says, with the words of its buttons."""
    (address,) = re.findall(r"Open (\S+) in your browser", said)
    (code,) = re.findall(r"(?:[A-Z2-7]{5}-){3}[A-Z2-7]{5}", said)
    (begin, go_on, create, create_there, install) = re.findall(
        r"press\s+\*([^*]+)\*", " ".join(re.findall(r"^(?:\d\.|   ).*$", _PAGE.text, re.MULTILINE)), re.IGNORECASE
    )
    await page.goto(address)
    await page.get_by_label("Code").fill(code)
    for button in (begin, go_on, create, create_there, install):
        await page.get_by_role("button", name=button).click(timeout=PATIENCE_MS)
    await expect(page.get_by_role("heading", name="It is installed")).to_be_visible(timeout=PATIENCE_MS)


@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("nothing_left")
async def test_the_page_is_followed_to_the_letter(home: Path, browser: Browser) -> None:
    work = home / "work"
    given = {
        "https://git.example.org/binder.git": str(ROOT),
        "/srv/first-hour": str(work),
        "127.0.0.1:8585": f"127.0.0.1:{free_port()}",
        "127.0.0.1:8586": f"127.0.0.1:{free_port()}",
    }
    said: dict[str, str] = {}
    async with _shell(home) as shell:
        for block in _BLOCKS:
            text = block.text
            for name, value in given.items():
                text = text.replace(name, value)
            printed = await shell.type(text)
            said[block.text.splitlines()[0]] = printed
            if "binder setup" in block.text:
                await _create_app(await browser.new_page(), printed)
    assert "✗" not in said["binder doctor"]
    assert "The GitHub App 1 has what it needs" in re.sub(r"App \d+", "App 1", said["binder doctor"])
    log = (work / "binder.log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    restored = next(text for first, text in said.items() if first.startswith("binder backup"))
    assert "ada/attractors" in restored
