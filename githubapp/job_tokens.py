"""What a job of GitHub Actions proves itself with, checked: a token that GitHub signed, for this service, for now.

Nothing is read of it that was not signed, but the name of the key. Its `sub` is never parsed: what is in it is said by
the repository's owners. That a token is used once only is left to who has the store.
Source: https://docs.github.com/en/actions/reference/security/oidc
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt

from binder.errors import VisitorFault
from binder.names import is_repository, is_sha
from binder.settings import Settings
from binder.store.tables import utc_now
from binder.workflow_job import WorkflowJob
from githubapp.issuer_keys import IssuerKeys, issuer_of

_LONGEST_TOKEN = 8192
_LONGEST_TEXT = 1000
_LONGEST_LIFE = timedelta(hours=1)
_LEEWAY_SECONDS = 30
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_REQUIRED: Final = ["aud", "exp", "iat", "iss", "jti", "nbf"]
_AGAIN = "Ask GitHub for a new one, with this service's address as its audience."


class JobTokens:
    """Checks the tokens of one GitHub's jobs that are meant for this service."""

    def __init__(self, settings: Settings) -> None:
        self._audience = settings.url
        self._issuer = issuer_of(settings.github_url)
        self._keys = IssuerKeys(self._issuer)

    async def check(self, token: str) -> WorkflowJob:
        """Return the job that brought a token.

        Raises: VisitorFault, where it proves nothing here; WorldFault, where GitHub's keys are not to be had.
        """
        key = await self._keys.key(_kid_of(token))
        try:
            claims = jwt.decode(
                token,
                key.key,
                algorithms=["RS256"],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": _REQUIRED, "strict_aud": True},
            )
        except jwt.InvalidAudienceError as error:
            raise VisitorFault(f"This token is for another service than {self._audience}. {_AGAIN}") from error
        except jwt.InvalidIssuerError as error:
            raise VisitorFault(f"This token is not of {self._issuer}, whom alone this service trusts.") from error
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
            raise VisitorFault(f"This token is not good now. {_AGAIN}") from error
        except (jwt.PyJWTError, ValueError, OverflowError) as error:
            raise VisitorFault(f"This is no token that GitHub signed. {_AGAIN}") from error
        return job_of(claims, utc_now())


def _kid_of(token: str) -> str:
    """Return which key a token says that it is signed with.

    Raises: VisitorFault.
    """
    if len(token) > _LONGEST_TOKEN:
        raise VisitorFault("This is longer than any token of GitHub's.")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise VisitorFault(f"This is no token that GitHub signed. {_AGAIN}") from error
    kid = header.get("kid")
    if header.get("alg") != "RS256" or not isinstance(kid, str) or not 0 < len(kid) <= _LONGEST_TEXT:
        raise VisitorFault("This token is not signed as GitHub signs: with RS256, and a key that is named.")
    return kid


def job_of(claims: Mapping[str, Any], now: datetime) -> WorkflowJob:
    """Return what the claims of a token say, once its signature and its times are known to be good.

    Raises: VisitorFault.
    """
    owner, _, name = _text(claims, "repository").partition("/")
    sha, visibility = _text(claims, "sha"), _text(claims, "repository_visibility")
    is_short = int(claims["exp"]) <= (now + _LONGEST_LIFE).timestamp()
    if not is_repository(owner, name) or not is_sha(sha) or not is_short:
        raise VisitorFault("This token says what none of GitHub's says.")
    return WorkflowJob(
        repository_id=_number(claims, "repository_id"),
        owner_id=_number(claims, "repository_owner_id"),
        owner=owner,
        name=name,
        private=visibility != "public",
        sha=sha,
        ref=_text(claims, "ref"),
        actor=_text(claims, "actor"),
        attempt=_number(claims, "run_attempt"),
        token_id=_text(claims, "jti"),
        ends_at=datetime.fromtimestamp(int(claims["exp"]), UTC),
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT:
        raise VisitorFault(f"This token does not say the {name} of its job.")
    return value


def _number(claims: Mapping[str, Any], name: str) -> int:
    text = _text(claims, name)
    if not _NUMBER.fullmatch(text):
        raise VisitorFault(f"This token does not say the {name} of its job.")
    return int(text)
