"""Who we are to GitHub: the App, by its key, and its installations, by tokens that it mints.

Tokens are minted when they are needed, once for all who ask at the same time, and are written nowhere.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from github import Auth, Github
from jwt.algorithms import RSAAlgorithm

from binder.errors import OperatorFault
from binder.settings import Settings
from binder.store.tables import utc_now
from githubapp.connection import Connection

# Source: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
_JWT_ISSUED_SECONDS = -60
_JWT_EXPIRY_SECONDS = 300
_RENEWED_BEFORE_EXPIRY = timedelta(minutes=5)
_KEPT_INSTALLATIONS = 500
_THREADS = 8
_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Token:
    """An installation's token; opaque, up to some 520 characters."""

    token: str = field(repr=False)
    expires_at: datetime


@dataclass
class _Installation:
    """The connection as one installation; `flight` is held while its token is minted."""

    flight: asyncio.Lock = field(default_factory=asyncio.Lock)
    connection: Connection | None = None
    expires_at: datetime = _LONG_AGO


class SignIn:
    """The connections of one App."""

    def __init__(self, api_url: str, app_id: int, private_key: str) -> None:
        self._api_url = api_url
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="github")
        # Reading a key takes tens of milliseconds, in which no other thread runs: once, not for each request.
        key: Any = RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(private_key)
        app = Auth.AppAuth(
            app_id,
            sign_func=lambda claims: jwt.encode(claims, key, algorithm="RS256"),
            jwt_issued_at=_JWT_ISSUED_SECONDS,
            jwt_expiry=_JWT_EXPIRY_SECONDS,
        )
        self.app = Connection(api_url, app, self._threads)
        self._installations: OrderedDict[int, _Installation] = OrderedDict()

    @classmethod
    def from_settings(cls, settings: Settings) -> "SignIn":
        """Return the sign-in of the App that the settings name.

        Raises: OperatorFault.
        """
        if settings.github_app_id is None or settings.github_private_key_file is None:
            raise OperatorFault("GitHub needs both BINDER_GITHUB_APP_ID and BINDER_GITHUB_PRIVATE_KEY_FILE.")
        try:
            key = settings.github_private_key_file.read_text(encoding="ascii")
            return cls(settings.github_api_url, settings.github_app_id, key)
        except (OSError, ValueError, jwt.PyJWTError) as error:
            raise OperatorFault("BINDER_GITHUB_PRIVATE_KEY_FILE is not a PEM file with the App's RSA key.") from error

    async def installation(self, installation_id: int) -> Connection:
        """Return the connection as an installation, its token good for some minutes at least."""
        kept = self._installations.setdefault(installation_id, _Installation())
        self._installations.move_to_end(installation_id)
        async with kept.flight:
            if kept.connection is None or kept.expires_at - _RENEWED_BEFORE_EXPIRY <= utc_now():
                minted = await self.mint(installation_id, {})
                _close(kept)
                kept.connection = Connection(self._api_url, Auth.Token(minted.token), self._threads)
                kept.expires_at = minted.expires_at
            self._drop_oldest()
            return kept.connection

    @property
    def lowest_allowance(self) -> float:
        """The allowance of that installation, of those asked as lately, which has least left."""
        connections = [kept.connection for kept in [*self._installations.values()] if kept.connection]
        return min((one.allowance for one in connections), default=1.0)

    async def mint(self, installation_id: int, asked: Mapping[str, Any]) -> Token:
        """Return a new token; `asked` narrows it: `repository_ids`, `permissions`.

        Source: https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app
        """
        path = f"/app/installations/{installation_id}/access_tokens"

        def ask(github: Github) -> Token:
            _, answer = github.requester.requestJsonAndCheck("POST", path, input=dict(asked))
            return Token(answer["token"], datetime.fromisoformat(answer["expires_at"]))

        return await self.app.call(ask)

    def forget(self, installation_id: int, connection: Connection) -> None:
        """Let the next one mint anew, unless somebody did already."""
        kept = self._installations.get(installation_id)
        if kept and kept.connection is connection:
            _close(kept)

    def renew(self, installation_id: int) -> None:
        """Let the next one mint anew: a token may cover just what its installation did when it was minted."""
        if kept := self._installations.get(installation_id):
            kept.expires_at = _LONG_AGO

    def close(self) -> None:
        """Let go of all connections."""
        self.app.close()
        for kept in self._installations.values():
            _close(kept)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _drop_oldest(self) -> None:
        while len(self._installations) > _KEPT_INSTALLATIONS:
            _, oldest = self._installations.popitem(last=False)
            _close(oldest)


def _close(kept: _Installation) -> None:
    if kept.connection:
        kept.connection.close()
        kept.connection = None
