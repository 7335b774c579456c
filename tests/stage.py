"""The whole system on one machine, for tests and benchmarks: the stand-in for GitHub, the service, and a person."""

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from binder.cli.child import running_child
from binder.cli.demo import take_port
from binder.cli.git import git, sign_in
from binder.cli.registration import register
from binder.settings import read_settings
from githubapp.sandbox.sandbox import Sandbox
from githubapp.sandbox.server import running_sandbox
from githubapp.sandbox.values import Status

PERSON = "ada"
REPOSITORY = "ada/notes"
METRICS_TOKEN = "a-token-of-the-tests-of-metrics"
NOTEBOOK = (
    '{"cells": [{"cell_type": "code", "id": "one", "execution_count": null, "metadata": {}, "outputs": [], '
    '"source": ["print(6 * 7)"]}], "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", '
    '"name": "python3"}}, "nbformat": 4, "nbformat_minor": 5}\n'
)


@dataclass
class Stage:
    """A stand-in for GitHub with one repository, and a service that can be killed and started again."""

    sandbox: Sandbox
    home: Path
    environment: Mapping[str, str]
    git_environment: Mapping[str, str]
    port: int
    service: asyncio.subprocess.Process | None = None
    sessions_stay: bool = False
    """Whether sessions go on when the service is stopped, as an operator's do; a test's own do not."""
    _pushed_once: bool = False
    _services: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def url(self) -> str:
        """Where the service is reached."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        """The person's clone of the repository."""
        return self.home / "notes"

    @property
    def service_log(self) -> Path:
        """What the service logged, over all of its starts."""
        return self.home / "service.log"

    async def start_service(self) -> None:
        """Start the service, and wait until it answers."""
        child = running_child(self.url, self.environment, self.service_log, ephemeral=not self.sessions_stay)
        self.service = await self._services.enter_async_context(child)

    async def stop_service(self) -> None:
        """End the service as an operator would."""
        await self._services.aclose()
        self.service = None

    async def kill_service(self) -> None:
        """End the service with SIGKILL, as a crash would."""
        assert self.service
        os.kill(self.service.pid, signal.SIGKILL)
        await self.service.wait()
        await self.stop_service()

    async def push(
        self, files: Mapping[str, str | None], *, branch: str = "main", executable: str | None = None
    ) -> str:
        """Write files (None: remove), commit and push them; a new branch begins at main. Returns the commit's sha."""
        if branch != "main" or self._pushed_once:
            known = await git(self.folder, "branch", "--list", branch)
            new = [] if known else ["-b"]
            await git(self.folder, "checkout", "--quiet", "--force", *new, branch, *([] if known else ["main"]))
        for path, text in files.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink() if text is None else file.write_text(text, encoding="utf-8")
        if executable:
            (self.folder / executable).chmod(0o755)
        self._pushed_once = True
        await git(self.folder, "add", "--all")
        await git(self.folder, "commit", "--quiet", "--allow-empty", "--message", "A change")
        await git(self.folder, "push", "--quiet", "--force", "origin", branch, env=self.git_environment)
        return await git(self.folder, "rev-parse", "HEAD")

    async def final_status(self, sha: str, *, timeout_seconds: float = 240) -> Status:
        """Return a commit's status as soon as it is final."""
        return await self.sandbox.wait_for_status(
            REPOSITORY, sha=sha, context="binder", timeout_seconds=timeout_seconds
        )

    async def until(self, query: str, *, timeout_seconds: float = 60) -> list[tuple[object, ...]]:
        """Wait until a query of the service's store returns rows, and return them."""
        began = monotonic()
        while True:
            with contextlib.suppress(sqlite3.OperationalError):
                if rows := self.rows(query):
                    return rows
            if monotonic() - began > timeout_seconds:
                raise TimeoutError(query)
            await asyncio.sleep(0.02)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return the rows of a query of the service's store."""
        database = self.home / "service" / "binder.db"
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute(query).fetchall()


@asynccontextmanager
async def running_stage(home: Path, *, settings: Mapping[str, str] | None = None) -> AsyncIterator[Stage]:
    """Set the stage in an empty folder that the build account can pass through; `settings` win over the usual ones."""
    (home / "github").mkdir()
    async with running_sandbox(home / "github") as sandbox:
        port = take_port(0, "")
        stage = await new_stage(sandbox, home, port, settings or {})
        try:
            await stage.start_service()
            yield stage
        finally:
            await stage.stop_service()


async def new_stage(sandbox: Sandbox, home: Path, port: int, settings: Mapping[str, str]) -> Stage:
    """Set the stage for a service that will be reached at `port`, and is not there yet."""
    usual = read_settings()
    environment = await register(
        sandbox, owner=PERSON, port=port, home=home, cache=usual.cache_dir, account=usual.build_account
    )
    await sandbox.create_repository(REPOSITORY)
    folder = home / "notes"
    folder.mkdir()
    await git(folder, "init", "--quiet", "--initial-branch=main")
    await git(folder, "remote", "add", "origin", f"{sandbox.url}/{REPOSITORY}.git")
    token = sandbox.world.account(PERSON).token or ""
    environment["BINDER_METRICS_TOKEN"] = METRICS_TOKEN
    return Stage(sandbox, home, {**environment, **settings}, sign_in(PERSON, token), port)
