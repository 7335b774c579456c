"""A link goes on working: to a session that was culled, and to an image that was removed, with the packages it had."""

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from binder.cli.visit import Visit, compute, open_link
from build.garbage.choice import StoredImage
from build.garbage.storage import stored_in
from tests.build.package_index import write_wheel
from tests.served import served
from tests.stage import NOTEBOOK, REPOSITORY, Stage, running_stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]

_PATIENCE_MS = 120_000
_PACKAGES = "import importlib.metadata as m; print(sorted(f'{d.name}=={d.version}' for d in m.distributions()))"
_LONG_AGO = "{0} = datetime({0}, '-20000 days')"
# Whatever else lies in the cache is younger than this, and stays.
_DAYS = 5000


@pytest_asyncio.fixture(loop_scope="package")
async def own_stage(home: Path) -> AsyncIterator[Stage]:
    """A service of the test's own, with nothing pushed to it."""
    async with running_stage(home) as stage:
        yield stage


async def test_the_link_of_a_culled_session_starts_it_again(own_stage: Stage) -> None:
    stage = own_stage
    sha = await stage.push({"index.ipynb": NOTEBOOK})
    assert (await stage.final_status(sha)).state == "success"
    link = f"{stage.url}/v2/gh/{REPOSITORY}/{sha}"
    culled = await open_link(link, timeout_seconds=60)
    await stage.stop_service()
    _write(stage, f"update sessions set {_LONG_AGO.format('opened_at')} where state = 'open'")
    await stage.start_service()
    await stage.until(f"select 1 from sessions where id = '{_session_of(culled)}' and state = 'ended'")
    visit = await open_link(link, timeout_seconds=60)
    assert visit.base_url != culled.base_url
    assert await compute(visit, "print(6 * 7)") == "42\n"
    assert len(stage.rows("select 1 from builds")) == 1


async def test_the_link_of_a_removed_image_builds_it_again_of_the_same_lock(
    own_stage: Stage, browser: Browser, reachable_path: Path
) -> None:
    stage = own_stage
    write_wheel(reachable_path, "tides", {"tides.py": f"'{uuid4()}'\n"})
    with served(reachable_path) as address:
        asked = f"--find-links {address}\ntides\n"
        old = await stage.push({"index.ipynb": NOTEBOOK, "requirements.txt": asked})
        first, packages = await _opened(stage, old)
        assert "tides==1.0" in packages
        made = _result(stage, old)

        write_wheel(reachable_path, "tides", {"tides.py": ""}, version="2.0")
        new = await stage.push({"requirements.txt": f"{asked}# The same, asked for anew.\n"})
        _, packages_of_new = await _opened(stage, new)
        assert "tides==2.0" in packages_of_new

        _write(stage, f"update sessions set {_LONG_AGO.format('opened_at')} where id = '{_session_of(first)}'")
        of_old = f"select s.id from sessions s join builds b on b.id = s.build_id where b.sha = '{old}'"
        await stage.until(f"select 1 where not exists ({of_old} and s.state not in ('ended', 'failed'))")
        _write(stage, f"update sessions set {_LONG_AGO.format('ended_at')} where id in ({of_old})")
        _age(stage, made)
        said = await _collect(stage)
        assert not {_tag(made), _environment(made)} & _stored(stage).keys(), said

        page = await browser.new_page()
        await page.goto(f"{stage.url}/v2/gh/{REPOSITORY}/{old}?labpath=index.ipynb")
        await expect(page.get_by_text("Laying the repository's files")).to_be_visible(timeout=_PATIENCE_MS)
        await page.wait_for_url("**/s/**", timeout=_PATIENCE_MS)
        await expect(page.locator(".jp-Notebook .jp-CodeCell").first).to_be_visible(timeout=_PATIENCE_MS)
        await page.close()
        assert (await _opened(stage, old))[1] == packages
    assert _environment(_result(stage, old)) == _environment(made)
    assert _result(stage, old)["image"] == made["image"]


async def _opened(stage: Stage, sha: str) -> tuple[Visit, str]:
    """Open the link of a commit, and return the visit and the packages that its kernel has."""
    assert (await stage.final_status(sha)).state == "success"
    visit = await open_link(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}", timeout_seconds=60)
    return visit, await compute(visit, _PACKAGES)


def _session_of(visit: Visit) -> str:
    return visit.base_url.split("/")[-2]


def _result(stage: Stage, sha: str) -> dict[str, Any]:
    """Return what the newest build of a commit made."""
    ((text,),) = stage.rows(f"select result from builds where sha = '{sha}' order by id desc limit 1")
    result: dict[str, Any] = json.loads(str(text))
    return result


def _environment(result: dict[str, Any]) -> str:
    return next(f"environment-{layer['key']}" for layer in result["layers"] if layer["kind"] == "environment")


def _write(stage: Stage, statement: str) -> None:
    with (
        contextlib.closing(sqlite3.connect(stage.home / "service" / "binder.db", timeout=30)) as connection,
        connection,
    ):
        connection.execute(statement)


def _tag(result: dict[str, Any]) -> str:
    return str(result["image"]).rpartition(":")[2]


def _stored(stage: Stage) -> dict[str, StoredImage]:
    """Return the images that are there, by their tags."""
    images = stored_in(Path(stage.environment["BINDER_CACHE_DIR"]) / "engine", {}).images
    return {name.rpartition(":")[2]: image for image in images for name in image.names}


def _age(stage: Stage, made: dict[str, Any]) -> None:
    """Let nobody have used an image, its environment and their locks since the beginning of time."""
    cache, stored = Path(stage.environment["BINDER_CACHE_DIR"]), _stored(stage)
    tags = [_tag(made), _environment(made)]
    paths = [cache / "engine/storage/overlay-images" / stored[tag].id for tag in tags]
    paths += [cache / "locks" / tag for tag in made["locks"]]
    paths += [mark for tag in (*tags, *made["locks"]) if (mark := cache / "uses" / tag).exists()]
    for path in paths:
        os.utime(path, (0, 0))


async def _collect(stage: Stage) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "binder", "gc", "--older-than", str(_DAYS), "--delete"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **stage.environment, "COLUMNS": "200"},
    )
    async with asyncio.timeout(120):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()
