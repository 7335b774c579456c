"""The service is killed while it works: after a restart the work is finished, once, and nothing is left over."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection

from binder.cgroups import limits_for, read_cgroup_facts
from binder.cli.visit import open_link
from binder.errors import WorldFault
from binder.paths import Paths
from binder.process import Account
from deploy.jupyter import Client, Server, ask_kernel, channels_of, new_kernel, text_of
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


async def test_a_notebook_goes_on_through_a_stop_and_a_crash(home: Path) -> None:
    """Its kernel keeps what it has; a stop lets a download finish and ends WebSockets, a crash breaks both off."""
    async with running_stage(home) as stage:
        await _start_again(stage, sessions_stay=True)
        sha = await stage.push({"index.ipynb": NOTEBOOK})
        assert (await stage.final_status(sha)).state == "success"
        visit = await open_link(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}", timeout_seconds=60)
        server = Server.with_token(visit.base_url, visit.token)
        async with Client(server) as client, new_kernel(client) as kernel:
            async with channels_of(server, kernel) as socket:
                await _run(
                    socket, "import hashlib, os; x = 41; data = os.urandom(2**25); open('data', 'wb').write(data)"
                )
                digest = await _run(socket, "print(hashlib.sha256(data).hexdigest())")
                async with _download(client) as download:
                    await stage.stop_service()
                    assert await download == digest.strip()
                await asyncio.wait_for(socket.wait_closed(), 5)
            await stage.start_service()
            async with channels_of(server, kernel) as socket:
                assert await _run(socket, "x = x + 1; print(x)") == "42\n"
                async with _download(client) as download:
                    await stage.kill_service()
                    with pytest.raises(WorldFault, match="does not answer"):
                        await download
                await asyncio.wait_for(socket.wait_closed(), 5)
            await stage.start_service()
            async with channels_of(server, kernel) as socket:
                assert await _run(socket, "print(x)") == "42\n"
        assert stage.rows("select id from sessions where state = 'open'") == [(visit.base_url.split("/")[-2],)]
        await _start_again(stage, sessions_stay=False)


async def _start_again(stage: Stage, *, sessions_stay: bool) -> None:
    await stage.stop_service()
    stage.sessions_stay = sessions_stay
    await stage.start_service()


async def _run(socket: ClientConnection, code: str) -> str:
    """Run code in a kernel that is there, and return what it printed."""
    async with asyncio.timeout(30):
        return "".join([text_of(message) async for message in ask_kernel(socket, "execute_request", {"code": code})])


@asynccontextmanager
async def _download(client: Client) -> AsyncIterator[asyncio.Task[str]]:
    """Give a download of two seconds that has begun: in the end, the digest of what came."""
    has_begun = asyncio.Event()

    async def load() -> str:
        digest = hashlib.sha256()
        async with client.content("files/data") as pieces:
            async for piece in pieces:
                digest.update(piece)
                has_begun.set()
                await asyncio.sleep(2 * len(piece) / 2**25)
        return digest.hexdigest()

    task = asyncio.create_task(load())
    async with asyncio.timeout(10):
        await has_begun.wait()
    yield task
    await asyncio.gather(task, return_exceptions=True)


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
