"""The stage on which a whole service plays: one for all tests that leave it as it was, or one of a test's own.

And the browser, in front of it.
"""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser import running_browser
from tests.stage import NOTEBOOK, Stage, running_stage


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def stage(reachable_root: Path) -> AsyncIterator[Stage]:
    """A service with one commit, built and green."""
    home = Path(tempfile.mkdtemp(dir=reachable_root, prefix="stage-"))
    home.chmod(0o711)
    async with running_stage(home) as stage:
        sha = await stage.push({"index.ipynb": NOTEBOOK, "requirements.txt": "six\n"})
        assert (await stage.final_status(sha)).state == "success"
        yield stage


@pytest.fixture
def home(reachable_root: Path) -> Path:
    """An empty folder for a stage of a test's own."""
    home = Path(tempfile.mkdtemp(dir=reachable_root, prefix="home-"))
    home.chmod(0o711)
    return home


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, without a window."""
    async with running_browser() as browser:
        yield browser
