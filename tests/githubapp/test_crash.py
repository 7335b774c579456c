"""`kill -9` at the worst moments: a real process, killed between an effect and its being written down."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import select

from binder.lifecycle import BuildState, DeliveryState
from binder.settings import Settings
from binder.store import Store, open_store
from binder.store.queries import advance_build
from binder.store.tables import Build, Delivery, Report, utc_now
from githubapp.sandbox.sandbox import Sandbox
from githubapp.sandbox.server import running_sandbox
from tests.githubapp.gate import Gate
from tests.githubapp.github_description import Recorder
from tests.githubapp.sandbox.git_checkout import Checkout, new_checkout
from tests.githubapp.workshop import SECRET, settings_for, stage_app

_WAIT_SECONDS = 30.0
_STATES = (BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING, BuildState.CHECKING, BuildState.SUCCEEDED)


@dataclass
class Killable:
    """The service's process, and what is around it; the builder is played here, over the same store."""

    sandbox: Sandbox
    gate: Gate
    settings: Settings
    store: Store
    checkout: Checkout
    port: int
    process: asyncio.subprocess.Process | None = field(default=None)

    async def start(self) -> None:
        settings = self.settings
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path.cwd()),
            "BINDER_STATE_DIR": str(settings.state_dir),
            "BINDER_CACHE_DIR": str(settings.cache_dir),
            "BINDER_URL": settings.url,
            "BINDER_GITHUB_URL": settings.github_url,
            "BINDER_GITHUB_API_URL": settings.github_api_url,
            "BINDER_GITHUB_APP_ID": str(settings.github_app_id),
            "BINDER_GITHUB_PRIVATE_KEY_FILE": str(settings.github_private_key_file),
            "BINDER_GITHUB_WEBHOOK_SECRETS": SECRET,
        }
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.githubapp.crash_service", str(self.port)),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdout
        async with asyncio.timeout(_WAIT_SECONDS):
            while (line := await self.process.stdout.readline()) != b"ready\n":
                assert line, "the service ended before it was ready"

    async def kill(self) -> None:
        if self.process and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.communicate()

    async def push(self, message: str, branch: str) -> str:
        await self.checkout.git("checkout", "--quiet", "-B", branch)
        sha = await self.checkout.commit(message, **{branch: message})
        await self.checkout.push(self.sandbox.clone_url("ada/demo", login="ada"), f"+HEAD:refs/heads/{branch}")
        return sha

    async def finish_builds(self) -> None:
        """Do a builder's work on whatever waits for one."""
        async with self.store.write() as session:
            for build in await session.scalars(select(Build).where(Build.state == BuildState.QUEUED)):
                for state in _STATES:
                    advance_build(build, state, utc_now())

    async def until(self, is_so: Callable[[], object], *, building: bool = True) -> None:
        async with asyncio.timeout(_WAIT_SECONDS):
            while not is_so():
                if building:
                    await self.finish_builds()
                await asyncio.sleep(0.05)

    def statuses(self, sha: str) -> list[str]:
        """What a commit showed, oldest first."""
        state = self.sandbox.world.state
        return [one.state for one in reversed(state.statuses_of(self.sandbox.world.repository("ada/demo"), sha))]

    def comments(self, number: int) -> list[str]:
        state = self.sandbox.world.state
        return [one.body for one in state.comments_of(self.sandbox.world.repository("ada/demo"), number)]

    async def redeliver_what_failed(self) -> None:
        """Do what the operator, and later the service, does about deliveries that found nobody."""
        answered = {one.guid for one in await self.sandbox.deliveries() if one.ok}
        for delivery in reversed(await self.sandbox.deliveries()):
            if delivery.guid not in answered:
                answered.add(delivery.guid)
                await self.sandbox.redeliver(delivery.id)
        await self.sandbox.settled()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Killable]:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "checkout").mkdir()
    recorder, gate = Recorder(), Gate()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with running_sandbox(tmp_path / "sandbox", wrap=lambda app: gate.wrap(recorder.wrap(app))) as sandbox:
        app = await stage_app(sandbox, f"http://127.0.0.1:{port}/webhooks/github")
        await sandbox.settled()
        settings = settings_for(sandbox, app, tmp_path)
        checkout = await new_checkout(tmp_path / "checkout")
        async with open_store(settings.store_url) as store:
            killable = Killable(sandbox, gate, settings, store, checkout, port)
            try:
                await killable.start()
                yield killable
            finally:
                await killable.kill()
    recorder.validate()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/access_tokens$"),
        ("GET", "/repositories/[0-9]+$"),
        ("GET", "/branches/change$"),
        ("GET", "/pulls/1$"),
        ("POST", "/statuses/"),
        ("GET", "/issues/1/comments$"),
        ("POST", "/issues/1/comments$"),
        ("PATCH", "/issues/comments/"),
    ],
)
async def test_whatever_it_was_doing_it_is_done_once(service: Killable, method: str, path: str) -> None:
    held = service.gate.hold(method, path)
    await service.push("First", "main")
    sha = await service.push("Second", "change")
    await service.sandbox.open_pull_request("ada/demo", author="ada", head="change", title="A change")
    if method == "PATCH":  # a comment must be there before it can be edited
        await service.until(lambda: service.comments(1), building=False)
    await service.until(held.reached.is_set)
    await service.kill()
    held.released.set()
    await service.start()
    await service.redeliver_what_failed()
    await service.until(lambda: service.statuses(sha)[-1:] == ["success"])
    await service.until(lambda: "The preview is ready" in "".join(service.comments(1)))
    shown = service.statuses(sha)
    assert shown.count("success") == 1
    assert len(shown) <= 3
    assert len(service.comments(1)) == 1
    await _assert_all_done(service)


async def test_killed_again_and_again_every_head_ends_green_and_nothing_stays_pending(service: Killable) -> None:
    dice = random.Random(7)  # noqa: S311 - the same moments in each run
    pushed: dict[str, list[str]] = {}
    for number in range(5):
        branch = f"branch-{number % 2}"
        pushed.setdefault(branch, []).append(await service.push(f"Change {number}", branch))
        await asyncio.sleep(dice.random() * 0.15)
        await service.kill()
        await service.start()
    await service.redeliver_what_failed()
    heads = [shas[-1] for shas in pushed.values()]
    await service.until(lambda: all(service.statuses(sha)[-1:] == ["success"] for sha in heads))
    await _assert_all_done(service)
    for sha in (sha for shas in pushed.values() for sha in shas):
        shown = service.statuses(sha)
        assert shown[-1:] != ["pending"]
        assert len(shown) <= 3


async def _assert_all_done(service: Killable) -> None:
    """No delivery, build or report is left half done, and no commit was built twice."""
    async with asyncio.timeout(_WAIT_SECONDS):
        while await _is_left(service):
            await service.finish_builds()
            await asyncio.sleep(0.05)
    async with service.store.read() as session:
        shas = list(await session.scalars(select(Build.sha)))
    assert len(shas) == len(set(shas))


async def _is_left(service: Killable) -> bool:
    async with service.store.read() as session:
        waiting = [
            (await session.execute(select(Delivery.id).where(Delivery.state == DeliveryState.STORED))).first(),
            (await session.execute(select(Report.id).where(Report.owed))).first(),
            (await session.execute(select(Build.id).where(Build.finished_at.is_(None)))).first(),
        ]
    return any(waiting)
