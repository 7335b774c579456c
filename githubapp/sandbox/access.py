"""Who is asking, and what they may do.

Owns how credentials are read (an App's JWT, an installation's token, a person's token, nobody) and the rule that what
somebody may not see does not exist. What each call needs stands with the calls; the answers are `Refusal`s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt

from githubapp.sandbox.state import State
from githubapp.sandbox.values import Account, App, InstallationToken, Json, Level, Repository

DOCUMENTATION = "https://docs.github.com/rest"

_LONGEST_JWT = timedelta(minutes=10)
_CLOCK_SKEW = timedelta(seconds=60)
# What a person may do with read access alone: everything about an issue's talk, and looking.
_WRITES_OF_READERS = frozenset({"issues", "pull_requests"})
_WRITERS = frozenset({"write", "maintain", "admin"})


class Refusal(Exception):
    """An answer that says no, in GitHub's words."""

    def __init__(
        self, status: int, message: str, *, errors: list[Json] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = dict(headers or {})

    def body(self) -> Json:
        body: Json = {"message": self.message, "documentation_url": DOCUMENTATION, "status": str(self.status)}
        return body if self.errors is None else {**body, "errors": self.errors}


@dataclass(frozen=True)
class Actor:
    """Who asks: at most one of the first three is set, none for an anonymous call; `app_of_user` is the App that acts
    in the name of a person."""

    app: App | None = None
    token: InstallationToken | None = None
    account: Account | None = None
    app_of_user: App | None = None

    @property
    def is_anonymous(self) -> bool:
        return not (self.app or self.token or self.account)

    @property
    def key(self) -> str:
        """What the rate limit is counted by."""
        if self.app:
            return f"app {self.app.id}"
        if self.token:
            return f"installation {self.token.installation_id}"
        return f"account {self.account.login}" if self.account else "anonymous"


def not_found() -> Refusal:
    return Refusal(404, "Not Found")


def not_accessible() -> Refusal:
    return Refusal(403, "Resource not accessible by integration")


def actor_from_header(state: State, authorization: str | None) -> Actor:
    """Who an `Authorization` header of a REST call stands for.

    Raises: Refusal 401, for a credential that is malformed, unknown or out of date.
    """
    if not authorization:
        return Actor()
    scheme, _, credential = authorization.partition(" ")
    credential = credential.strip()
    if scheme.lower() not in {"bearer", "token"} or not credential:
        raise Refusal(401, "Bad credentials")
    if scheme.lower() == "bearer" and credential.startswith("eyJ"):
        return Actor(app=_app_of_jwt(state, credential))
    return actor_with_token(state, credential)


def actor_with_token(state: State, credential: str) -> Actor:
    """Who a token belongs to, as git and REST send it.

    Raises: Refusal 401.
    """
    token = state.tokens.get(credential)
    if token and token.expires_at > state.now() and _is_active(state, token):
        return Actor(token=token)
    lent = state.user_tokens.get(credential)
    if lent and lent.expires_at > state.now():
        return Actor(account=state.account(lent.login), app_of_user=state.apps[lent.app_id])
    account = state.account_with_token(credential)
    if account:
        return Actor(account=account)
    raise Refusal(401, "Bad credentials")


def _is_active(state: State, token: InstallationToken) -> bool:
    installation = state.installations.get(token.installation_id)
    return installation is not None and installation.suspended_at is None


def _app_of_jwt(state: State, encoded: str) -> App:
    """The App that signed `encoded`.

    Source: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
    """
    undecodable = Refusal(401, "A JSON web token could not be decoded")
    try:
        claimed = jwt.decode(encoded, options={"verify_signature": False})
        app = state.apps[int(claimed["iss"])]
    except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
        raise undecodable from None
    try:
        unchecked = {"verify_exp": False, "verify_iat": False, "verify_iss": False, "verify_nbf": False}
        claims = jwt.decode(encoded, app.public_key_pem, algorithms=["RS256"], options=unchecked)  # type: ignore[arg-type]
    except jwt.InvalidTokenError:
        raise undecodable from None
    _check_times(claims, state.now())
    return app


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(expires, int | float):
        raise Refusal(401, "Missing 'expiration time' claim ('exp') in assertion")
    if not isinstance(issued, int | float):
        raise Refusal(401, "Missing 'issued at' claim ('iat') in assertion")
    present = now.timestamp()
    if expires <= present:
        raise Refusal(401, "'Expiration time' claim ('exp') must be a numeric value representing the future time")
    if expires > present + _LONGEST_JWT.total_seconds() + 1:
        raise Refusal(401, "'Expiration time' claim ('exp') is too far in the future")
    if issued > present + _CLOCK_SKEW.total_seconds():
        raise Refusal(
            401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
        )


def may(state: State, actor: Actor, repository: Repository, permission: str, level: Level) -> bool:
    """Whether `actor` may do this there.

    An installation's token needs the permission even where anybody may read: that is stricter than GitHub is about
    public repositories, and finds a missing permission before a private one does.
    """
    if actor.token and token_covers(state, actor.token, repository):
        return token_grants(actor.token, permission, level)
    needs_app = actor.app_of_user is not None and (repository.private or level == "write")
    if actor.app_of_user and needs_app and not _granted_to(state, actor.app_of_user, repository, permission, level):
        return False
    if actor.account:
        role = state.role(actor.account.login, repository)
        if role and level == "write":
            return role in _WRITERS or permission in _WRITES_OF_READERS
        return role is not None
    return not repository.private and level == "read"


def may_see(state: State, actor: Actor, repository: Repository) -> bool:
    """Whether `repository` exists as far as `actor` is concerned."""
    if not repository.private:
        return True
    if actor.app:
        return any(one.app_id == actor.app.id for one in state.installations_of(repository))
    if actor.token:
        return token_covers(state, actor.token, repository)
    if actor.app_of_user and not any(one.app_id == actor.app_of_user.id for one in state.installations_of(repository)):
        return False
    return actor.account is not None and state.role(actor.account.login, repository) is not None


def _granted_to(state: State, app: App, repository: Repository, permission: str, level: Level) -> bool:
    """Whether an App that acts for a person is installed there with this permission: both must have it."""
    installed = next((one for one in state.installations_of(repository) if one.app_id == app.id), None)
    return installed is not None and grants(installed.permissions, permission, level)


def token_covers(state: State, token: InstallationToken, repository: Repository) -> bool:
    installation = state.installations.get(token.installation_id)
    if installation is None or not state.covers(installation, repository):
        return False
    return token.repository_ids is None or repository.id in token.repository_ids


def token_grants(token: InstallationToken, permission: str, level: Level) -> bool:
    return grants(token.permissions, permission, level)


def grants(permissions: Mapping[str, str], permission: str, level: Level) -> bool:
    """Whether `permissions` are enough; looking at what there is comes with all of them."""
    if permission == "metadata" and level == "read":
        return True
    granted = permissions.get(permission)
    return granted in {"write", "admin"} or (granted == "read" and level == "read")
