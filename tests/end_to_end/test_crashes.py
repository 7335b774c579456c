"""The service is killed while it works: after a restart the work is finished, once, and nothing is left over."""

import asyncio
import re
from pathlib import Path

import pytest

from binder.cgroups import limits_for, read_cgroup_facts
from binder.paths import Paths
from binder.process import Account
from deploy.podman import PodmanEngine
from tests.leftovers import are_gone, are_there, new_marker, processes_with
from tests.stage import NOTEBOOK, REPOSITORY, Stage, running_stage

pytestmark = pytest.mark.slow


async def _finished_once(stage: Stage, sha: str) -> None:
    status = await stage.final_status(sha)
    assert status.state == "success", status.description
    states = [one.state for one in await stage.sandbox.statuses(REPOSITORY, sha=sha)]
    assert states.count("success") == 1
    assert stage.rows(f"select count(*) from builds where sha = '{sha}'") == [(1,)]


async def _only_what_is_wanted_runs(stage: Stage, account: Account) -> None:
    """The sessions that run are those of the store, and there is one HAProxy."""
    live = "select id from sessions where state in ('wanted', 'starting', 'standby', 'open')"
    await stage.until("select 1 where not exists (select 1 from sessions where state in ('wanted', 'starting'))")
    paths = Paths(Path(stage.environment["BINDER_STATE_DIR"]), Path(stage.environment["BINDER_CACHE_DIR"]))
    engine = PodmanEngine(paths, account, limits_for(read_cgroup_facts()))
    assert set(await engine.running()) == {str(row[0]) for row in stage.rows(live)}
    assert len(processes_with(str(paths.run / "haproxy" / "haproxy.cfg"))) == 1


async def test_killed_during_a_build(home: Path, account: Account) -> None:
    marker = new_marker()
    async with running_stage(home) as stage:
        # The first time it waits to be killed; the second time it finds that it has waited before.
        script = f"#!/bin/sh\n[ -e /run/binder/killed ] || exec sleep {marker}\n"
        sha = await stage.push({"index.ipynb": NOTEBOOK, "postBuild": script}, executable="postBuild")
        assert await are_there(marker, within_seconds=120)
        await stage.kill_service()
        assert await are_gone(marker)
        (home / "service" / "tools" / "killed").touch(mode=0o644)
        await stage.start_service()
        await _finished_once(stage, sha)
        await _only_what_is_wanted_runs(stage, account)


async def test_killed_during_the_start_of_a_session(home: Path, account: Account) -> None:
    async with running_stage(home) as stage:
        sha = await stage.push({"index.ipynb": NOTEBOOK})
        await stage.until("select 1 from sessions where state = 'starting'", timeout_seconds=120)
        await asyncio.sleep(0.3)
        await stage.kill_service()
        await stage.start_service()
        await _finished_once(stage, sha)
        await _only_what_is_wanted_runs(stage, account)


async def test_killed_before_a_delivery_was_acted_on(home: Path, account: Account) -> None:
    async with running_stage(home) as stage:
        sha = await stage.push({"index.ipynb": NOTEBOOK})
        await stage.until("select 1 from deliveries where event = 'push'")
        await stage.kill_service()
        await stage.start_service()
        await _finished_once(stage, sha)
        await _only_what_is_wanted_runs(stage, account)


async def test_a_service_that_ends_leaves_nothing(home: Path) -> None:
    async with running_stage(home) as stage:
        sha = await stage.push({"index.ipynb": NOTEBOOK})
        assert (await stage.final_status(sha)).state == "success"
        sessions = [str(row[0]) for row in stage.rows("select id from sessions")]
        await stage.stop_service()
        for name in (*sessions, str(home)):
            assert processes_with(name) == []
        mounts = await asyncio.to_thread(Path("/proc/self/mounts").read_text, encoding="utf-8")
        assert not re.search("overlay-containers|/merged ", mounts)
