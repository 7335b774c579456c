"""The pictures of the documentation: what Chromium shows of a real run. `make pictures` draws them anew.

A test (`tests/end_to_end/test_pictures.py`) draws them by the same code; it compares no pixels.
"""

import asyncio
import base64
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Final
from uuid import uuid4

from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.browser import PATIENCE_MS, running_browser
from tests.pages import ROOT
from tests.stage import PERSON, REPOSITORY, Stage, running_stage

FOLDER = ROOT / "docs" / "pictures"
MOST_BYTES: Final = 60_000
SIZE: Final = ViewportSize(width=1000, height=640)

_BUILD_SECONDS = 600
_CELLS = 3
"""How many the sample has; the last one draws."""
_SLOW = "#!/bin/sh\necho 'Downloading the data of the last ten years'\nsleep 20  # {}\n"
_SMALLER = """async png => {
    const image = new Image();
    image.src = "data:image/png;base64," + png;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    canvas.getContext("2d").drawImage(image, 0, 0);
    const blob = await canvas.convertToBlob({type: "image/webp", quality: 0.75});
    const bytes = new Uint8Array(await blob.arrayBuffer());
    return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""));
}"""


def _sample() -> dict[str, str]:
    folder = resources.files("binder.cli") / "sample"
    return {name: (folder / name).read_text(encoding="utf-8") for name in ("lorenz.ipynb", "requirements.txt")}


async def _launching(stage: Stage, page: Page) -> None:
    """A visitor waits for a commit that is being built."""
    files = {"postBuild": _SLOW.format(uuid4()), "index.ipynb": "{}"}
    sha = await stage.push(files, branch="launching", executable="postBuild")
    await page.goto(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?labpath=index.ipynb")
    await expect(page.get_by_text("Downloading the data").first).to_be_visible(timeout=PATIENCE_MS)


async def _notebook(stage: Stage, page: Page) -> None:
    """A visitor works in a live notebook."""
    sha = await stage.push(_sample(), branch="lorenz")
    assert (await stage.final_status(sha, timeout_seconds=_BUILD_SECONDS)).state == "success"
    await page.goto(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?labpath=lorenz.ipynb")
    await page.wait_for_url("**/s/**", timeout=PATIENCE_MS)
    await expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=PATIENCE_MS)
    await page.locator(".jp-Notebook .jp-Cell").first.click()
    for _ in range(_CELLS):
        await page.keyboard.press("Shift+Enter")
    await expect(page.locator(".jp-OutputArea-output img")).to_be_visible(timeout=PATIENCE_MS)
    await page.locator(".jp-CodeCell").nth(1).evaluate("cell => cell.scrollIntoView(true)")


async def _pull_request(stage: Stage, page: Page) -> None:
    """A reviewer looks at a pull request of a changed notebook."""
    changed = _sample()["lorenz.ipynb"].replace("rho=28.0", "rho=99.6")
    await stage.push(_sample())
    sha = await stage.push({"lorenz.ipynb": changed}, branch="chaos")
    title = "Look at a periodic window"
    pull = await stage.sandbox.open_pull_request(REPOSITORY, author=PERSON, head="chaos", title=title)
    assert (await stage.final_status(sha, timeout_seconds=_BUILD_SECONDS)).state == "success"
    await page.goto(f"{stage.sandbox.url}/{REPOSITORY}/pull/{pull.number}")
    comment = page.get_by_role("article").filter(has_text="commented at").filter(has_text="lorenz.ipynb")
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while not await comment.count():
            await asyncio.sleep(0.3)
            await page.reload()
    await comment.evaluate("article => article.scrollIntoView(true)")


async def _failed(stage: Stage, page: Page) -> None:
    """An author reads why a build failed."""
    sha = await stage.push({"requirements.txt": "numpy\nmatplotlob\n"}, branch="failed")
    assert (await stage.final_status(sha)).state == "failure"
    await page.goto(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}")
    await page.get_by_role("link", name="Read the log").click()
    await expect(page.locator("#at-fault")).to_be_in_viewport()
    await page.evaluate("scrollTo(0, 0)")


PICTURES: Mapping[str, Callable[[Stage, Page], Awaitable[None]]] = {
    "failed": _failed,
    "launching": _launching,
    "notebook": _notebook,
    "pull-request": _pull_request,
}
"""Name → what is done until the page shows it."""


async def draw(stage: Stage, browser: Browser, name: str) -> bytes:
    """Have a picture happen, and return it as WebP."""
    page = await browser.new_page(viewport=SIZE)
    try:
        await PICTURES[name](stage, page)
        png = await page.screenshot(animations="disabled")
        await page.goto("about:blank")
        return base64.b64decode(await page.evaluate(_SMALLER, base64.b64encode(png).decode()))
    finally:
        await page.close()


async def _draw_all() -> None:
    with tempfile.TemporaryDirectory(prefix="binder-pictures-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        async with running_stage(home) as stage, running_browser() as browser:
            await stage.push({"README.md": "# Attractors\n"})
            FOLDER.mkdir(exist_ok=True)
            for name in PICTURES:
                (FOLDER / f"{name}.webp").write_bytes(await draw(stage, browser, name))


if __name__ == "__main__":
    os.umask(0o022)
    asyncio.run(_draw_all())
