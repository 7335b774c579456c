"""A service is backed up while it runs, and lost: another one goes on from the backup, and old links open as before."""

import json
import shutil
from pathlib import Path

import pytest

from binder.cli.visit import compute, open_link
from binder.paths import Paths
from binder.settings import read_settings
from tests.binder.cli.typed import typed
from tests.builds import Builder
from tests.postgresql import PostgreSQL
from tests.stage import NOTEBOOK, REPOSITORY, running_stage

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
async def test_old_links_open_after_everything_was_lost(
    into: str, home: Path, builder: Builder, request: pytest.FixtureRequest
) -> None:
    file = home / "backup.zip"
    async with running_stage(home) as stage:
        sha = await stage.push({"index.ipynb": NOTEBOOK, "requirements.txt": "six\n"})
        assert (await stage.final_status(sha)).state == "success"
        link = f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?filepath=index.ipynb"
        await open_link(link, timeout_seconds=60)
        ended = await typed("backup", str(file), env=stage.environment)
        assert ended.code == 0, ended.complaint
        ((result,),) = stage.rows(f"select result from builds where sha = '{sha}'")
        made = json.loads(str(result))
        await stage.stop_service()

        shutil.rmtree(stage.home / "service")
        locks = {tag: Paths(stage.home / "service", read_settings().cache_dir).locks / tag for tag in made["locks"]}
        texts = {tag: path.read_text(encoding="utf-8") for tag, path in locks.items()}
        assert texts
        for path in locks.values():
            path.unlink()
        await builder.forget([made["image"]])

        settings = dict(stage.environment)
        if into == "postgresql":
            server: PostgreSQL = request.getfixturevalue("postgresql")
            settings["BINDER_DATABASE_URL"] = server.new_database()
        ended = await typed("restore", str(file), env=settings)
        assert ended.code == 0, ended.complaint
        assert {tag: path.read_text(encoding="utf-8") for tag, path in locks.items()} == texts
        stage.environment = settings
        await stage.start_service()
        visit = await open_link(link, timeout_seconds=200)
        assert await compute(visit, "import six; print(6 * 7)") == "42\n"
        builds = json.loads((await typed("list", "builds", "--all", "--json", env=settings)).output)
        assert [(one["sha"], one["state"]) for one in builds] == [(sha, "succeeded")] * 2
        found = await typed("why", sha, "--json", env=settings)
        assert found.code == 0, found.complaint
        assert {tag: path.read_text(encoding="utf-8") for tag, path in locks.items()} == texts
