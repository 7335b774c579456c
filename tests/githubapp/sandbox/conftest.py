"""A running stand-in with an App on it, whose every word is held against GitHub's description when a test is over."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from github import Auth, Github, GithubIntegration

from githubapp.sandbox.sandbox import CreatedApp, Sandbox
from githubapp.sandbox.server import running_sandbox
from tests.githubapp.github_description import Recorder, validate_webhook
from tests.githubapp.sandbox.git_checkout import Checkout, new_checkout
from tests.githubapp.sandbox.receiver import Receiver, running_receiver

SECRET = "not much of a secret"
CONTEXT = "binder"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def sandbox(tmp_path: Path, recorder: Recorder) -> AsyncIterator[Sandbox]:
    """An empty stand-in on a port of its own."""
    data = tmp_path / "sandbox"
    data.mkdir()
    async with running_sandbox(data, wrap=recorder.wrap) as running:
        yield running
        deliveries = await running.deliveries()
    recorder.validate()
    for delivery in deliveries:
        validate_webhook(delivery.event, delivery.payload)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as running:
        yield running


@pytest.fixture
async def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return await new_checkout(folder)


@dataclass(frozen=True)
class Stage:
    """Ada's App is installed on her repository `ada/demo`, which has one commit; Bob is a stranger."""

    sandbox: Sandbox
    receiver: Receiver
    checkout: Checkout
    app: CreatedApp
    first_sha: str

    @property
    def url(self) -> str:
        """Where Ada pushes to."""
        return self.sandbox.clone_url("ada/demo", login="ada")

    async def push(self, message: str, branch: str = "main", **files: str) -> str:
        """Commit `files` on a branch and push it; the sha is what comes back."""
        await self.checkout.git("checkout", "--quiet", "-B", branch)
        sha = await self.checkout.commit(message, **files)
        await self.checkout.push(self.url, f"HEAD:refs/heads/{branch}")
        return sha

    async def heard(self) -> list[str]:
        """What the App has heard, once all is said."""
        await self.sandbox.settled()
        return self.receiver.names

    def as_app(self) -> GithubIntegration:
        auth = Auth.AppAuth(self.app.app_id, self.app.private_key_pem)
        return GithubIntegration(auth=auth, base_url=self.sandbox.api_url, seconds_between_requests=None)

    def installation_token(self, **permissions: str) -> str:
        """A token of Ada's installation (blocking: call it in a thread)."""
        with self.as_app() as integration:
            (installation,) = integration.get_installations()
            return integration.get_access_token(installation.id, permissions).token

    @contextlib.contextmanager
    def as_installation(self, **permissions: str) -> Iterator[Github]:
        """PyGithub as the installation; blocking."""
        token = Auth.Token(self.installation_token(**permissions))
        with Github(
            auth=token,
            base_url=self.sandbox.api_url,
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
        ) as client:
            yield client


@pytest.fixture
async def stage(sandbox: Sandbox, receiver: Receiver, checkout: Checkout) -> Stage:
    for login in ("ada", "bob"):
        await sandbox.create_user(login)
    app = await sandbox.create_app(webhook_url=receiver.url, webhook_secret=SECRET, owner="ada")
    await sandbox.create_repository("ada/demo", description="A demonstration")
    await sandbox.install(app.app_id, account="ada", repositories=["ada/demo"])
    sha = await checkout.commit("First", README="# Hello")
    await checkout.push(sandbox.clone_url("ada/demo", login="ada"))
    await sandbox.settled()
    receiver.received.clear()
    return Stage(sandbox, receiver, checkout, app, sha)


Rest = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def rest(sandbox: Sandbox) -> AsyncIterator[Rest]:
    """A plain REST call: `await rest("GET", "/rate_limit", token=…, json=…)`."""
    async with httpx.AsyncClient(trust_env=False) as client:

        async def call(method: str, path: str, *, token: str | None = None, **more: object) -> httpx.Response:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            return await client.request(method, sandbox.api_url + path, headers=headers, **more)  # type: ignore[arg-type]

        yield call


@pytest.fixture
async def browser(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who looks at pages and sends their forms; redirects are not followed."""
    async with httpx.AsyncClient(base_url=sandbox.url, trust_env=False) as client:
        yield client
