"""The action before a whole service: a commit is really built, through HAProxy, and its link really opens."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.action.runner import CANCEL_SECONDS, Runner, running_runner
from tests.githubapp.sandbox.git_checkout import Checkout, new_checkout
from tests.stage import NOTEBOOK, REPOSITORY, Stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]

OPEN = "bob/open"


@dataclass(frozen=True)
class Bobs:
    """Bob's public repository, on which the App is not installed, and a runner of its jobs."""

    stage: Stage
    runner: Runner
    checkout: Checkout

    async def push(self, *, post_build: str | None = None, **files: str) -> str:
        """Push a commit that nobody else asks for, and have the next jobs run for it."""
        if post_build:
            self.checkout.write("postBuild", post_build)
            (self.checkout.folder / "postBuild").chmod(0o755)
        sha = await self.checkout.commit("A change", **{"index.ipynb": NOTEBOOK, **files})
        await self.checkout.push(self.stage.sandbox.clone_url(OPEN, login="bob"), "+HEAD:refs/heads/main")
        self.runner.job = {"sha": sha}
        return sha


@pytest_asyncio.fixture(loop_scope="package")
async def bobs(stage: Stage, tmp_path: Path) -> AsyncIterator[Bobs]:
    sandbox = stage.sandbox
    if not any(one.login == "bob" for one in sandbox.world.state.accounts.values()):
        await sandbox.create_user("bob")
        await sandbox.create_repository(OPEN)
    (tmp_path / "checkout").mkdir()
    async with running_runner(sandbox, tmp_path, stage.url) as runner:
        runner.repository = OPEN
        yield Bobs(stage, runner, await new_checkout(tmp_path / "checkout"))


async def test_what_the_app_had_built_is_found(stage: Stage, tmp_path: Path) -> None:
    async with running_runner(stage.sandbox, tmp_path, stage.url) as runner:
        runner.repository = REPOSITORY
        sha = (await stage.sandbox.statuses(REPOSITORY, sha=await _head(stage)))[0].sha
        runner.job = {"sha": sha}
        ran = await runner.run(ref=sha)
    assert (ran.code, ran.outputs["status"], ran.outputs["reused"]) == (0, "success", "true"), ran.printed
    assert ran.outputs["url"] == f"{stage.url}/v2/gh/{REPOSITORY}/{sha}"


async def _head(stage: Stage) -> str:
    rows = await stage.until("select head_sha from previews where kind = 'branch' and ref = 'main'")
    return str(rows[0][0])


async def test_a_commit_is_built_for_a_job_and_opens(bobs: Bobs) -> None:
    sha = await bobs.push()
    ran = await bobs.runner.run(ref=sha)
    assert (ran.code, ran.outputs["status"], ran.outputs["reused"]) == (0, "success", "false"), ran.printed
    assert ran.outputs["image"]
    assert len(ran.told("group")) > 1
    assert "/s/" in await _opened(ran.outputs["url"])


async def _opened(link: str) -> str:
    """Return where a link leads: to a session, as soon as there is one."""
    async with httpx.AsyncClient(follow_redirects=True) as client:
        for _ in range(100):
            answer = await client.get(link)
            if "/s/" in answer.url.path:
                return answer.url.path
            await asyncio.sleep(0.3)
    return ""


async def test_notebooks_are_run_in_the_image(bobs: Bobs) -> None:
    sha = await bobs.push(**{"broken.ipynb": NOTEBOOK.replace("print(6 * 7)", "1 / 0")})
    ran = await bobs.runner.run(ref=sha, verify="index.ipynb\nbroken.ipynb")
    assert (ran.code, ran.outputs["status"]) == (1, "failure"), ran.printed
    (told,) = ran.told("error")
    assert (told.properties["file"], told.properties["line"]) == ("broken.ipynb", "1")
    assert "ZeroDivisionError" in told.message
    assert "The notebook index.ipynb ran in" in ran.printed
    assert (await bobs.runner.run(ref=sha, verify="index.ipynb")).code == 0


async def test_what_is_wrong_is_on_its_line(bobs: Bobs) -> None:
    sha = await bobs.push(**{"requirements.txt": "six\nno requirement !!\n"})
    ran = await bobs.runner.run(ref=sha)
    assert (ran.code, ran.outputs["status"]) == (1, "failure"), ran.printed
    (told,) = ran.told("error")
    assert (told.properties["file"], told.properties["line"]) == ("requirements.txt", "2")


async def test_a_build_that_runs_ends_with_its_job(bobs: Bobs) -> None:
    sha = await bobs.push(post_build="#!/bin/sh\necho it has begun\nsleep 300\n")
    async with bobs.runner.started(ref=sha) as step:
        await step.prints("it has begun")
        ran = await step.cancelled(signal.SIGINT)
    assert ran.seconds < CANCEL_SECONDS
    assert "The build was cancelled." in ran.printed
    await bobs.stage.until(f"select 1 from builds where sha = '{sha}' and state = 'cancelled'")
