"""How a person lets the App act for them: GitHub's page, and the trade of its code for tokens.

Owns what is sent there and what comes back. Who they are, and how their tokens are kept, is `visitors`'.

Source: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from binder.app_manifest import SIGN_IN_PATH
from binder.errors import OperatorFault, VisitorFault
from binder.settings import Settings
from binder.store.tables import utc_now
from githubapp.connection import Connection
from githubapp.faults import GitHubUnavailableError

_RENEWED_BEFORE_EXPIRY = timedelta(minutes=5)
_THE_VISITORS = frozenset({"bad_verification_code", "bad_refresh_token", "expired_token", "unverified_user_email"})
_LONGEST_CODE = 200


@dataclass(frozen=True)
class UserTokens:
    """What lets us act for a person. Where `ends_at` is None the App's tokens do not expire, and there is no other."""

    access: str = field(repr=False)
    ends_at: datetime | None = None
    refresh: str | None = field(default=None, repr=False)

    def is_old(self, now: datetime) -> bool:
        """Whether it is time for the next ones."""
        return self.ends_at is not None and self.ends_at - _RENEWED_BEFORE_EXPIRY <= now


class OAuth:
    """GitHub's exchange of codes, as the App's client. `github` is a connection to GitHub's pages, as nobody."""

    def __init__(self, settings: Settings, github: Connection) -> None:
        self._settings = settings
        self._github = github

    @property
    def _back(self) -> str:
        return self._settings.url + SIGN_IN_PATH

    def address(self, state: str, challenge: str) -> str:
        """Return the page where GitHub asks a person; it sends them back with `state`."""
        asked = {
            "client_id": self._settings.github_client_id,
            "redirect_uri": self._back,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._settings.github_url}/login/oauth/authorize?{urlencode(asked)}"

    async def redeem(self, code: str, verifier: str) -> UserTokens:
        """Trade the code that GitHub sent a person back with.

        Raises: VisitorFault, where GitHub does not take it; OperatorFault; what `Connection.call` raises.
        """
        if not 0 < len(code) <= _LONGEST_CODE:
            raise VisitorFault("GitHub sent no code with the way back.")
        return await self._trade(code=code, code_verifier=verifier, redirect_uri=self._back)

    async def renew(self, refresh: str) -> UserTokens:
        """Return the next tokens; the ones before end with that.

        Raises: VisitorFault, where GitHub gives no more to this person; OperatorFault; what `Connection.call` raises.
        """
        return await self._trade(grant_type="refresh_token", refresh_token=refresh)

    async def _trade(self, **asked: str) -> UserTokens:
        secret = self._settings.github_client_secret.get_secret_value()
        sent = {"client_id": self._settings.github_client_id, "client_secret": secret, **asked}
        now = utc_now()
        _, answer = await self._github.call(
            lambda github: github.requester.requestJsonAndCheck(
                "POST", "/login/oauth/access_token", input=sent, headers={"Accept": "application/json"}
            )
        )
        return _tokens_of(answer, now)


def _tokens_of(answer: object, now: datetime) -> UserTokens:
    """Return the tokens of an answer; refusals look like answers, with an `error`."""
    told: Mapping[str, Any] = answer if isinstance(answer, Mapping) else {}
    error = told.get("error")
    if error in _THE_VISITORS:
        raise VisitorFault("GitHub does not take this sign-in, or not any more.")
    if error:
        raise OperatorFault(
            f"GitHub does not let this service sign visitors in ({str(error)[:60]!r}): check BINDER_GITHUB_CLIENT_ID, "
            f"BINDER_GITHUB_CLIENT_SECRET, and that the App's callback URL is BINDER_URL{SIGN_IN_PATH}."
        )
    access, seconds, refresh = told.get("access_token"), told.get("expires_in"), told.get("refresh_token")
    if not isinstance(access, str) or not access:
        raise GitHubUnavailableError("GitHub's answer could not be understood.")
    ends_at = now + timedelta(seconds=seconds) if isinstance(seconds, int) else None
    return UserTokens(access, ends_at, refresh if isinstance(refresh, str) else None)
