"""The demo's story: Ada pushes notebooks, changes one, opens a pull request; a visitor opens the links."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

from binder.cli.git import git, sign_in
from binder.cli.steps import Steps
from binder.cli.visit import compute, open_link
from binder.errors import OperatorFault
from githubapp.sandbox.sandbox import Sandbox

PERSON = "ada"
_REPOSITORY = f"{PERSON}/attractors"
_BRANCH = "chaos"
_CELL = "import numpy as np; print('sum =', int(np.arange(5).sum()))"
_FIRST_BUILD_SECONDS = 1800.0
_LATER_SECONDS = 120.0
_TAIL_BYTES = 2000


async def tell_story(sandbox: Sandbox, home: Path, url: str, steps: Steps) -> dict[str, str]:
    """Do all that an author, a reviewer and a visitor do, and return the addresses to look at by what they show.

    Raises: OperatorFault, with what went wrong.
    """
    folder, env = await _begin(sandbox, home)
    async with steps.step("First push: built from nothing, checked, status green"):
        sha = await _commit(folder, "Draw the Lorenz attractor")
        await git(folder, "push", "--quiet", "origin", "main", env=env)
        async with _telling(home / "service" / "builds", steps):
            first = await _green(sandbox, sha, _FIRST_BUILD_SECONDS)
    async with steps.step("The status's link opens JupyterLab"):
        visit = await open_link(first, timeout_seconds=_LATER_SECONDS)
    async with steps.step("A cell runs in its kernel"):
        output = await compute(visit, _CELL)
        if output.strip() != "sum = 10":
            raise OperatorFault(f"The cell printed {output!r}, and should have printed 'sum = 10'.")
    async with steps.step("Second push, only a notebook changed: status green"):
        sha = await _change(folder, "rho=28.0", "rho=24.5", "Weaken the convection")
        await git(folder, "push", "--quiet", "origin", "main", env=env)
        second = await _green(sandbox, sha, _LATER_SECONDS)
        commit = f"{sandbox.url}/{_REPOSITORY}/commit/{sha}"
    async with steps.step("Pull request: status green, preview's comment there"):
        await git(folder, "checkout", "--quiet", "-b", _BRANCH)
        sha = await _change(folder, "rho=24.5", "rho=99.6", "Look at a periodic window")
        await git(folder, "push", "--quiet", "origin", _BRANCH, env=env)
        title = "Look at a periodic window"
        pull = await sandbox.open_pull_request(_REPOSITORY, author=PERSON, head=_BRANCH, title=title)
        await _green(sandbox, sha, _LATER_SECONDS)
        await _comment(sandbox, pull.number, sha)
    return {
        "The live notebook": second,
        "The commit, with its status, on the stand-in for GitHub": commit,
        "The pull request, with the preview's comment": f"{sandbox.url}/{_REPOSITORY}/pull/{pull.number}",
        "The service": f"{url}/",
    }


async def _begin(sandbox: Sandbox, home: Path) -> tuple[Path, Mapping[str, str]]:
    """Make an empty repository on the stand-in, with the App installed, and a folder with the sample's files."""
    await sandbox.create_repository(_REPOSITORY)
    folder = home / "attractors"
    folder.mkdir()
    for file in (resources.files("binder.cli") / "sample").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    await git(folder, "init", "--quiet", "--initial-branch=main")
    await git(folder, "remote", "add", "origin", f"{sandbox.url}/{_REPOSITORY}.git")
    return folder, sign_in(PERSON, sandbox.world.account(PERSON).token or "")


async def _commit(folder: Path, message: str) -> str:
    await git(folder, "add", "--all")
    await git(folder, "commit", "--quiet", "--message", message)
    return await git(folder, "rev-parse", "HEAD")


async def _change(folder: Path, old: str, new: str, message: str) -> str:
    notebook = folder / "lorenz.ipynb"
    text = notebook.read_text(encoding="utf-8")
    json.loads(text.replace(old, new))
    notebook.write_text(text.replace(old, new), encoding="utf-8")
    return await _commit(folder, message)


async def _green(sandbox: Sandbox, sha: str, seconds: float) -> str:
    """Wait until the commit's status is final, and return the link of a green one.

    Raises: OperatorFault, with the status's own words where it is not green.
    """
    try:
        async with asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(TimeoutError):
                    status = await sandbox.wait_for_status(_REPOSITORY, sha=sha, context="binder", timeout_seconds=60)
                    break
    except TimeoutError as error:
        raise OperatorFault(f"Commit {sha[:7]} had no final status after {seconds:g} s.") from error
    if status.state != "success" or not status.target_url:
        raise OperatorFault(f"Commit {sha[:7]} is not green but {status.state}: {status.description}")
    return status.target_url


async def _comment(sandbox: Sandbox, number: int, sha: str) -> None:
    """Wait for the preview's comment to speak of the commit."""
    async with asyncio.timeout(_LATER_SECONDS):
        repository = sandbox.world.repository(_REPOSITORY)
        while not any(sha[:7] in one.body for one in sandbox.world.state.comments_of(repository, number)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@asynccontextmanager
async def _telling(logs: Path, steps: Steps) -> AsyncIterator[None]:
    """Show the last line of the newest build's log while the block runs."""

    async def tell() -> None:
        while True:
            newest = max(logs.glob("*.log"), key=lambda path: path.stat().st_mtime, default=None)
            if newest:
                lines = newest.read_text(encoding="utf-8", errors="replace")[-_TAIL_BYTES:].splitlines()
                steps.detail(lines[-1] if lines else "")
            await asyncio.sleep(0.2)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
