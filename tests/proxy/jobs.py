"""Jobs of workflows before a service: the stand-in for GitHub that signs for them, and the service's API on its own.

Builds go on when a test says so.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from binder.service.github import GitHubSide
from binder.settings import Settings, read_settings
from binder.store import Store, open_store
from binder.store.tables import Repository
from githubapp.job_tokens import JobTokens
from githubapp.sandbox.sandbox import Sandbox
from githubapp.sandbox.server import running_sandbox
from githubapp.sandbox.signing import SigningKey
from githubapp.setup import SetUp
from proxy.action_api import ActionApi
from proxy.context import ProxyContext
from proxy.pages import routes
from proxy.routes import RouteKeeper
from tests.proxy.conftest import free_port, made_paths
from tests.proxy.fakes import FakeResolver, FakeRouteTable
from tests.proxy.rows import SHA, add_repository

FULL_NAME = "ada/notes"
_KEY = SigningKey()  # making one takes half a second


@dataclass(frozen=True)
class JobStage:
    """Ada's repository `ada/notes` at the stand-in, Eve, who is a stranger, and a service."""

    sandbox: Sandbox
    context: ProxyContext
    resolver: FakeResolver
    application: Starlette

    @property
    def settings(self) -> Settings:
        """The service's."""
        return self.context.settings

    @property
    def store(self) -> Store:
        """The service's."""
        return self.context.store

    async def token(self, full_name: str = FULL_NAME, *, claims: Mapping[str, object] | None = None, **job: Any) -> str:
        """Return the token of a job, for `SHA` on the main branch if nothing else is said."""
        asked = {"audience": self.settings.url, "sha": SHA, **job}
        return await self.sandbox.actions_token(full_name, claims=dict(claims or {}), **asked)

    async def install(self, **values: Any) -> Repository:
        """Store the repository as the App's installation has it."""
        repository = self.sandbox.world.repository(FULL_NAME)
        known = {
            "external_id": repository.id,
            "owner_id": self.sandbox.world.account("ada").id,
            "installation_id": 5,
            **values,
        }
        return await add_repository(self.store, name="notes", host=self.settings.github_host, **known)


@asynccontextmanager
async def running_job_stage(folder: Path, *, store_url: str = "", **settings: object) -> AsyncIterator[JobStage]:
    """Give the stage: nothing is built and no repository known. `settings` win over the usual ones.

    The store is SQLite's, unless `store_url` says where another is.
    """
    (folder / "github").mkdir()
    listen = f"127.0.0.1:{free_port()}"
    async with running_sandbox(folder / "github") as sandbox:
        sandbox.world.actions_key._made = _KEY._private
        for login in ("ada", "eve"):
            await sandbox.create_user(login)
        await sandbox.create_repository(FULL_NAME)
        known = read_settings(
            **{
                "state_dir": folder / "state",
                "cache_dir": folder / "cache",
                "listen": listen,
                "url": f"http://{listen}",
                "github_url": sandbox.url,
                "github_api_url": sandbox.api_url,
                **settings,
            }
        )
        paths = made_paths(known)
        async with open_store(store_url or f"sqlite+aiosqlite:///{paths.state / 'binder.db'}") as store:
            github, table = GitHubSide(store, known), FakeRouteTable()
            github.visitors.begin_with(known)
            resolver = FakeResolver({(sandbox.clone_url(FULL_NAME), "HEAD"): SHA})
            context = ProxyContext(
                store, known, paths, table, RouteKeeper(store, table), resolver, SetUp(known, paths, github.begin_with),
                github.visitors,
            )  # fmt: skip
            api = ActionApi(context, JobTokens(known))
            yield JobStage(sandbox, context, resolver, Starlette(routes=[*api.routes(), *routes(context)]))
