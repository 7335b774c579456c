"""What a visitor sees of a session's services, in Debian's Chromium: a menu of them, and a notice when one ends."""

import contextlib
import json
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from binder.paths import Paths
from binder.process import Account
from deploy.manifests import pod_name
from deploy.podman_calls import Podman
from modules.bound import Bound, BoundComponent, as_json
from modules.definition import Page as OwnPage
from tests.stage import NOTEBOOK, REPOSITORY, Stage, running_stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]

_PATIENCE_MS = 60_000
# It is slow to come back, and does not once it is broken.
_SERVER = """\
if [ -e /tmp/broken ]; then exit 3; fi
if [ -e /tmp/ran ]; then sleep 10; fi
touch /tmp/ran /tmp/up
while [ ! -e /tmp/end ]; do sleep 0.1; done
rm /tmp/end /tmp/up
exit 7
"""
_TEMPLATE = {"command": ["sh", "-c", _SERVER], "ports": {"web": 8070}, "health": ["test", "-e", "/tmp/up"]}  # noqa: S108 - its own


async def test_a_visitor_sees_the_services_and_that_one_ended(home: Path, browser: Browser, account: Account) -> None:
    async with running_stage(home) as stage:
        sha = await stage.push({"index.ipynb": NOTEBOOK})
        assert (await stage.final_status(sha)).state == "success"
        await _give_service(stage)
        page = await browser.new_page()
        await page.goto(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?labpath=index.ipynb")
        await page.wait_for_url("**/s/**", timeout=_PATIENCE_MS)
        session_id = urlsplit(page.url).path.split("/")[2]

        menu = page.get_by_role("menuitem", name="Services", exact=True)
        await menu.click(timeout=_PATIENCE_MS)
        await expect(page.get_by_text("Store: ready")).to_be_visible()
        async with page.expect_popup() as popup:
            await page.get_by_text("Store: Shelves").click()
        address = await (await popup.value).evaluate("location.pathname")
        assert address == f"/s/{session_id}/proxy/8070/shelves"

        await _touch(stage, account, session_id, "/tmp/end")  # noqa: S108 - the service's own
        await expect(_notice(page, "Store ended and is being started again.")).to_be_visible(timeout=_PATIENCE_MS)
        await expect(_notice(page, "Store was started again, and is ready.")).to_be_visible(timeout=_PATIENCE_MS)
        await expect(_notice(page, "Store ended and is being started again.")).to_have_count(0)

        await _touch(stage, account, session_id, "/tmp/broken", "/tmp/end")  # noqa: S108 - the service's own
        lost = "Store ended too often, and cannot be used. It ended with exit code 3."
        await expect(_notice(page, lost)).to_be_visible(timeout=_PATIENCE_MS)
        await menu.click()
        await expect(page.get_by_text("Store: has ended")).to_be_visible()


def _notice(page: Page, text: str) -> Locator:
    return page.locator(".Toastify__toast").filter(has_text=text)


async def _give_service(stage: Stage) -> None:
    """Have the build know of a module, and wait for a session that has it."""
    component = BoundComponent("server", None, _TEMPLATE, 1, 64 * 2**20)
    pages = (OwnPage("Shelves", "server", "web", "/shelves"),)
    module = Bound("store", "1", "Store", "single-node", {}, (), (component,), {}, pages)
    database = stage.home / "service" / "binder.db"
    with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        modules = json.dumps(as_json([module]))
        connection.execute("update builds set result = json_set(result, '$.modules', json(?))", [modules])
        connection.execute("update sessions set state = 'ended', ended_at = created_at")
    await stage.until("select 1 from sessions where state = 'standby' and services is not null")


async def _touch(stage: Stage, account: Account, session_id: str, *files: str) -> None:
    """Make files in the container of the service."""
    paths = Paths(Path(stage.environment["BINDER_STATE_DIR"]), Path(stage.environment["BINDER_CACHE_DIR"]))
    name = f"{pod_name(paths.instance, session_id)}-store-server"
    done = await Podman(paths, account).call("exec", name, "touch", *files)
    assert done.ok, done.output
