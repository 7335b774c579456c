"""Our side and the stand-in's, put together: real HTTP in both directions, a real store, the real git.

Ada's App is installed on her repository `ada/demo`. Nothing runs by itself but the two servers: a test says when the
loops take their steps, and moves builds on as the builder would.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from sqlalchemy import select, update
from starlette.applications import Starlette

from binder.errors import BinderError
from binder.lifecycle import BuildState, SessionState
from binder.names import new_session_id, new_token
from binder.settings import Settings, read_settings
from binder.store import Store, open_store
from binder.store.queries import advance_build, fail_build
from binder.store.tables import (
    Build,
    Decision,
    Delivery,
    Installation,
    Preview,
    Report,
    Repository,
    Session,
    utc_now,
)
from githubapp.client import GitHubClient
from githubapp.comparisons import Comparisons
from githubapp.inbox import Inbox, webhook_route
from githubapp.previews import DeliveryWorker
from githubapp.reporter import Reporter
from githubapp.sandbox.sandbox import CreatedApp, Sandbox
from githubapp.sandbox.values import CheckRun, Comment, Status
from tests.githubapp.gate import Gate
from tests.githubapp.sandbox.git_checkout import Checkout, new_checkout

AnyRow = TypeVar("AnyRow", Build, Decision, Delivery, Installation, Preview, Report, Repository, Session)

SECRET = "not much of a secret"
SERVICE = "http://binder.example.org"

PLAN = {"layers": [{"kind": "base", "key": "a", "reused": True}]}

_ON_THE_WAY = (BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING, BuildState.CHECKING)
_MOST_STEPS = 1000


@dataclass
class Workshop:
    """The whole GitHub side of one App; `gate` can hold back GitHub's answers."""

    sandbox: Sandbox
    gate: Gate
    app: CreatedApp
    settings: Settings
    store: Store
    checkout: Checkout
    client: GitHubClient
    worker: DeliveryWorker
    reporter: Reporter

    async def push(
        self,
        message: str,
        branch: str = "main",
        *,
        force: bool = False,
        files: Mapping[str, str] | None = None,
        **notes: str,
    ) -> str:
        """Commit `files` (path → text) and `notes` on a branch and push it; return the sha once that is delivered."""
        await self.checkout.git("checkout", "--quiet", "-B", branch)
        sha = await self.checkout.commit(message, **(files or {}), **notes)
        await self.push_ref(f"{'+' if force else ''}HEAD:refs/heads/{branch}")
        return sha

    async def push_ref(self, refspec: str) -> None:
        await self.checkout.push(self.sandbox.clone_url("ada/demo", login="ada"), refspec)
        await self.sandbox.settled()

    async def open_pull_request(self, head: str, author: str = "ada") -> int:
        pull = await self.sandbox.open_pull_request("ada/demo", author=author, head=head, title="A change")
        await self.sandbox.settled()
        return pull.number

    async def fork(self) -> str:
        """Have Bob fork the repository and push to a branch of his; return its sha."""
        await self.sandbox.fork("ada/demo", owner="bob")
        return await self.push_to_fork("Bob's change")

    async def push_to_fork(self, message: str) -> str:
        await self.checkout.git("checkout", "--quiet", "-B", "theirs")
        sha = await self.checkout.commit(message, theirs=message)
        await self.checkout.push(self.sandbox.clone_url("bob/demo", login="bob"), "HEAD:refs/heads/theirs")
        await self.sandbox.settled()
        return sha

    async def act(self) -> None:
        """Act on all deliveries that wait."""
        await _until_idle(self.worker.step)

    async def compare(self) -> None:
        """Compare everything, as a service does that has just started."""
        await _until_idle(Comparisons(self.store, self.client, self.settings).step)

    async def report(self) -> None:
        """Tell GitHub all that is owed and due."""
        await _until_idle(self.reporter.step)

    async def finish(self, sha: str, *, error: BinderError | None = None) -> Build:
        """Build the newest build of a commit, as the builder would, and tell GitHub on the way."""
        build = await self.build(sha)
        for state in _ON_THE_WAY[:2] if error else _ON_THE_WAY:
            await self.move(build.id, state)
        async with self.store.write() as session:
            row = await session.get_one(Build, build.id)
            if error:
                fail_build(row, error, utc_now())
            else:
                advance_build(row, BuildState.SUCCEEDED, utc_now())
        await self.report()
        return await self.build(sha)

    async def skip_pauses(self) -> None:
        """Have everything that was put off be due at once."""
        async with self.store.write() as session:
            await session.execute(update(Report).values(not_before=None))
            await session.execute(update(Delivery).values(lease_owner=None, lease_until=None))

    async def move(self, build_id: int, state: BuildState) -> None:
        async with self.store.write() as session:
            row = await session.get_one(Build, build_id)
            advance_build(row, state, utc_now())
            if state is BuildState.BUILDING:
                row.result = PLAN
        await self.report()

    async def builds(self, sha: str) -> list[Build]:
        async with self.store.read() as session:
            return list(await session.scalars(select(Build).where(Build.sha == sha).order_by(Build.id)))

    async def preview(self, ref: str) -> Preview:
        (preview,) = [row for row in await self.rows(Preview) if row.ref == ref]
        return preview

    async def decisions(self, sha: str, *, known: bool = False) -> list[tuple[str, str | None]]:
        """Return what was decided about a commit, and why, oldest first; `known`: also that nothing had changed."""
        rows = [row for row in await self.rows(Decision) if row.sha == sha and (known or row.outcome != "known")]
        return [(row.outcome, row.reason) for row in rows]

    async def rows_live(self) -> list[Preview]:
        """Return the previews that are live, by their refs."""
        return sorted((row for row in await self.rows(Preview) if row.live), key=lambda row: row.ref)

    async def decisions_of(self, ref: str) -> list[Decision]:
        return [row for row in await self.rows(Decision) if row.ref == ref]

    async def add_session(self, build: Build, state: SessionState) -> str:
        """Have a session of a build run; return its id."""
        row = Session(
            id=new_session_id(),
            token=new_token(),
            repository_id=build.repository_id,
            build_id=build.id,
            image="image",
            state=state,
        )
        async with self.store.write() as session:
            session.add(row)
        return row.id

    async def session_states(self) -> dict[str, SessionState]:
        async with self.store.read() as session:
            return {row.id: row.state for row in await session.scalars(select(Session))}

    async def happens(self, *done: Awaitable[object]) -> None:
        """Have something happen at GitHub, and act on what is told of it."""
        for one in done:
            await one
        await self.sandbox.settled()
        await self.act()
        await self.report()

    async def last_delivery(self, event: str) -> Delivery:
        return [row for row in await self.rows(Delivery) if row.event == event][-1]

    async def build(self, sha: str) -> Build:
        return (await self.builds(sha))[-1]

    async def rows(self, kind: type[AnyRow]) -> list[AnyRow]:
        async with self.store.read() as session:
            return list(await session.scalars(select(kind).order_by(kind.id)))

    async def statuses(self, sha: str) -> list[Status]:
        """What the commit showed, oldest first."""
        return list(reversed(await self.sandbox.statuses("ada/demo", sha=sha)))

    async def check(self, sha: str) -> CheckRun:
        """The check run that the commit shows."""
        (run,) = await self.sandbox.check_runs("ada/demo", sha=sha)
        return run

    async def deployed(self, sha: str) -> list[str]:
        """What the commit's one deployment has said, oldest first; nothing where there is none."""
        deployments = await self.sandbox.deployments("ada/demo", sha=sha)
        assert len(deployments) <= 1
        return [said.state for one in deployments for said in one.statuses]

    def comments(self, number: int) -> list[Comment]:
        state = self.sandbox.world.state
        return state.comments_of(self.sandbox.world.repository("ada/demo"), number)


async def _until_idle(step: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(_MOST_STEPS):
        if not await step():
            return
    raise AssertionError("a loop found something to do for ever")


def settings_for(sandbox: Sandbox, app: CreatedApp, state: Path) -> Settings:
    """Return the settings of a service that keeps its store and the App's key in `state`."""
    key = state / "app.pem"
    key.write_text(app.private_key_pem)
    return read_settings(
        state_dir=state,
        cache_dir=state,
        url=SERVICE,
        github_url=sandbox.url,
        github_api_url=sandbox.api_url,
        github_app_id=app.app_id,
        github_private_key_file=key,
        github_webhook_secrets=SECRET,
    )


async def stage_app(sandbox: Sandbox, webhook_url: str) -> CreatedApp:
    """Register Ada, Bob, the App, and the repository that it is installed on."""
    for login in ("ada", "bob"):
        await sandbox.create_user(login)
    app = await sandbox.create_app(webhook_url=webhook_url, webhook_secret=SECRET, owner="ada")
    await sandbox.create_repository("ada/demo")
    await sandbox.install(app.app_id, account="ada", repositories=["ada/demo"])
    return app


class Server(uvicorn.Server):
    """A server that leaves the process's signals to whoever owns the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Capture none."""
        yield


@contextlib.asynccontextmanager
async def serving(app: Starlette, listener: socket.socket) -> AsyncIterator[None]:
    """Serve `app` while the block runs."""
    server = Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def running_workshop(sandbox: Sandbox, gate: Gate, folder: Path) -> AsyncIterator[Workshop]:
    """Give a workshop on a stand-in that nobody has used yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = await stage_app(sandbox, f"http://127.0.0.1:{listener.getsockname()[1]}/webhooks/github")
        settings = settings_for(sandbox, app, folder)
        client = GitHubClient.from_settings(settings)
        with contextlib.closing(client):
            async with (
                open_store(settings.store_url) as store,
                serving(Starlette(routes=[webhook_route(Inbox(store, settings))]), listener),
            ):
                await sandbox.settled()
                worker, reporter = DeliveryWorker(store, client, settings), Reporter(store, client, settings)
                (folder / "checkout").mkdir()
                checkout = await new_checkout(folder / "checkout")
                yield Workshop(sandbox, gate, app, settings, store, checkout, client, worker, reporter)
