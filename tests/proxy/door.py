"""A service that people sign in to: the pages, a stand-in for GitHub over HTTP, and browsers.

Ada owns `ada/secret`, a private repository that the App is installed on and whose commit `SHA` is built. Bob may read
it once a test says so; Eve is a stranger.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
from pydantic import SecretStr
from starlette.applications import Starlette

from binder.app_manifest import SIGN_IN_PATH
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Repository
from githubapp.sandbox.sandbox import CreatedApp, Sandbox
from githubapp.sandbox.server import running_sandbox
from githubapp.visitors import Visitors
from proxy.context import ProxyContext
from proxy.pages import routes
from tests.proxy.conftest import client_of
from tests.proxy.rows import add_repository

PRIVATE = "ada/secret"


@dataclass
class Door:
    """The service, and GitHub beside it; `secret` is the row of the private repository."""

    sandbox: Sandbox
    app: CreatedApp
    context: ProxyContext
    visitors: Visitors
    secret: Repository

    @property
    def store(self) -> Store:
        """The store."""
        return self.context.store

    def browser(self) -> httpx.AsyncClient:
        """Return a browser with no cookies, that follows no redirects."""
        return client_of(Starlette(routes=routes(self.context)), self.context.settings.url)

    async def agree(self, authorize: str, login: str, answer: str = "yes") -> str:
        """Press the button at GitHub; return the address that GitHub leads back to, as path and query."""
        sent = dict(parse_qsl(urlsplit(authorize).query))
        async with httpx.AsyncClient(trust_env=False) as browser:
            assert (await browser.get(authorize)).status_code == 200
            form = {**sent, "login": login, "answer": answer}
            back = await browser.post(f"{self.sandbox.url}/login/oauth/authorize", data=form)
        parts = urlsplit(back.headers["location"])
        assert f"{parts.scheme}://{parts.netloc}" == self.context.settings.url
        return f"{parts.path}?{parts.query}"

    async def sign_in(self, browser: httpx.AsyncClient, login: str, to: str = "/") -> httpx.Response:
        """Sign in; return the answer to GitHub's way back."""
        begun = await browser.get("/sign-in", params={"return": to})
        return await browser.get(await self.agree(begun.headers["location"], login))

    async def signed_in(self, login: str) -> httpx.AsyncClient:
        """Return a browser in which somebody is signed in."""
        browser = self.browser()
        assert (await self.sign_in(browser, login)).status_code == 302
        return browser


def settings_of(settings: Settings, sandbox: Sandbox, app: CreatedApp) -> Settings:
    """Return the settings of a service that people sign in to."""
    return settings.model_copy(
        update={
            "github_url": sandbox.url,
            "github_api_url": sandbox.api_url,
            "github_client_id": app.client_id,
            "github_client_secret": SecretStr(app.client_secret),
        }
    )


@asynccontextmanager
async def open_door(context: ProxyContext, folder: Path) -> AsyncIterator[Door]:
    """Give a door to a service that has this context otherwise."""
    async with running_sandbox(folder) as sandbox:
        for login in ("ada", "bob", "eve"):
            await sandbox.create_user(login)
        app = await sandbox.create_app(
            webhook_url="http://127.0.0.1:9/",
            webhook_secret="s",
            owner="ada",
            callback_urls=[context.settings.url + SIGN_IN_PATH],
        )
        made = await sandbox.create_repository(PRIVATE, private=True)
        installed = await sandbox.install(app.app_id, account="ada", repositories=[PRIVATE])
        settings, visitors = settings_of(context.settings, sandbox, app), Visitors(context.store)
        visitors.begin_with(settings)
        secret = await add_repository(
            context.store,
            name="secret",
            host=settings.github_host,
            external_id=made.id,
            installation_id=installed.id,
            private=True,
            default_branch="main",
        )
        try:
            yield Door(sandbox, app, replace(context, settings=settings, sign_in=visitors), visitors, secret)
        finally:
            visitors.close()
