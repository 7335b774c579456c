"""Registers a service as an App with the stand-in for GitHub: what demo, tests and benchmarks begin with."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from binder.app_manifest import SIGN_IN_PATH
from githubapp.sandbox.sandbox import Sandbox

_LOCALHOST = "127.0.0.1"


@dataclass(frozen=True)
class App:
    """An App as its service knows it; the texts but for `id` and `client_id` are secrets."""

    id: int
    client_id: str
    client_secret: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    private_key: str = field(repr=False)


async def register_app(sandbox: Sandbox, *, owner: str, url: str) -> App:
    """Register an App for a service at `url`, and install it on all that `owner` has."""
    secret = secrets.token_hex(20)
    await sandbox.create_user(owner)
    app = await sandbox.create_app(
        webhook_url=f"{url}/webhooks/github",
        webhook_secret=secret,
        owner=owner,
        callback_urls=[url + SIGN_IN_PATH],
    )
    await sandbox.install(app.app_id, account=owner)
    return App(app.app_id, app.client_id, app.client_secret, secret, app.private_key_pem)


async def register(sandbox: Sandbox, *, owner: str, port: int, home: Path, cache: Path, account: str) -> dict[str, str]:
    """Register an App for a service at `port` of this machine, and return the service's settings.

    The App's key and the service's state go into the folder `home`; `account` runs its builds.
    """
    url = f"http://{_LOCALHOST}:{port}"
    app = await register_app(sandbox, owner=owner, url=url)
    key = home / "app.pem"
    key.touch(mode=0o600)
    key.write_text(app.private_key, encoding="utf-8")
    return {
        "BINDER_ENGINE": "podman",
        "BINDER_STATE_DIR": str(home / "service"),
        "BINDER_CACHE_DIR": str(cache),
        "BINDER_BUILD_ACCOUNT": account,
        "BINDER_URL": url,
        "BINDER_LISTEN": f"{_LOCALHOST}:{port}",
        "BINDER_GITHUB_URL": sandbox.url,
        "BINDER_GITHUB_API_URL": sandbox.api_url,
        "BINDER_GITHUB_APP_ID": str(app.id),
        "BINDER_GITHUB_PRIVATE_KEY_FILE": str(key),
        "BINDER_GITHUB_CLIENT_ID": app.client_id,
        "BINDER_GITHUB_CLIENT_SECRET": app.client_secret,
        "BINDER_GITHUB_WEBHOOK_SECRETS": app.webhook_secret,
    }
