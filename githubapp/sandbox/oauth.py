"""People who sign in through an App: codes, tokens that expire, and the next ones.

Owns the rules of the exchange; the page on which a person agrees is `web_sign_in`.

Source: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta

from githubapp.sandbox.state import State
from githubapp.sandbox.values import App, Json, SignInCode, UserToken

CODE_LIFETIME = timedelta(minutes=10)
TOKEN_LIFETIME = timedelta(hours=8)
REFRESH_LIFETIME = timedelta(days=184)
_TROUBLE = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors"
_DESCRIPTIONS = {
    "incorrect_client_credentials": "The client_id and/or client_secret passed are incorrect.",
    "bad_verification_code": "The code passed is incorrect or expired.",
    "redirect_uri_mismatch": "The redirect_uri MUST match the registered callback URL for this application.",
    "bad_refresh_token": "The refresh token passed is incorrect or expired.",
    "unsupported_grant_type": "The grant_type passed is not supported.",
}


def app_with_client_id(state: State, client_id: str) -> App | None:
    return next((app for app in state.apps.values() if app.client_id == client_id), None)


def agree(state: State, app: App, login: str, redirect_uri: str, challenge: str | None) -> SignInCode:
    """Give a code for a person's consent; `challenge` is the S256 of what only the asker knows."""
    code = secrets.token_hex(10)
    agreed = SignInCode(code, app.id, login, redirect_uri, challenge, state.now() + CODE_LIFETIME)
    state.sign_in_codes[code] = agreed
    return agreed


def exchange(state: State, asked: Mapping[str, str]) -> Json:
    """What is answered to a request for a token; refusals look like answers, with an `error`."""
    app = app_with_client_id(state, asked.get("client_id", ""))
    if app is None or not hmac.compare_digest(asked.get("client_secret", "").encode(), app.client_secret.encode()):
        return _refused("incorrect_client_credentials")
    grant = asked.get("grant_type", "authorization_code")
    if grant == "refresh_token":
        return _refreshed(state, app, asked.get("refresh_token", ""))
    if grant != "authorization_code":
        return _refused("unsupported_grant_type")
    return _redeemed(state, app, asked)


def _redeemed(state: State, app: App, asked: Mapping[str, str]) -> Json:
    """A code is gone with the first try, whatever comes of it."""
    agreed = state.sign_in_codes.pop(asked.get("code", ""), None)
    if agreed is None or agreed.app_id != app.id or agreed.expires_at <= state.now():
        return _refused("bad_verification_code")
    if asked.get("redirect_uri", agreed.redirect_uri) != agreed.redirect_uri:
        return _refused("redirect_uri_mismatch")
    if agreed.challenge is not None and challenge_of(asked.get("code_verifier", "")) != agreed.challenge:
        return _refused("bad_verification_code")
    return _issued(state, app, agreed.login)


def _refreshed(state: State, app: App, refresh: str) -> Json:
    """The next token; the one before ends with it."""
    old = next((one for one in state.user_tokens.values() if one.refresh == refresh and one.app_id == app.id), None)
    if old is None or old.refresh_expires_at <= state.now():
        return _refused("bad_refresh_token")
    del state.user_tokens[old.value]
    return _issued(state, app, old.login)


def _issued(state: State, app: App, login: str) -> Json:
    now = state.now()
    token = UserToken(
        value=f"ghu_{secrets.token_hex(18)}",
        app_id=app.id,
        login=login,
        expires_at=now + TOKEN_LIFETIME,
        refresh=f"ghr_{secrets.token_hex(38)}",
        refresh_expires_at=now + REFRESH_LIFETIME,
    )
    state.user_tokens[token.value] = token
    return {
        "access_token": token.value,
        "expires_in": int(TOKEN_LIFETIME.total_seconds()),
        "refresh_token": token.refresh,
        "refresh_token_expires_in": int(REFRESH_LIFETIME.total_seconds()),
        "token_type": "bearer",
        "scope": "",
    }


def _refused(error: str) -> Json:
    return {"error": error, "error_description": _DESCRIPTIONS[error], "error_uri": f"{_TROUBLE}#{error}"}


def challenge_of(verifier: str) -> str:
    """PKCE's S256.

    Source: https://www.rfc-editor.org/rfc/rfc7636#section-4.2
    """
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
