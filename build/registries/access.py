"""What a registry asks for before it lets us in: a name and password, or a token that somebody gives for them.

Owns what is said in `Authorization`, and how long it holds. Sending it, and to whom, is `registry_http`'s.

Source: https://distribution.github.io/distribution/spec/auth/token/, RFC 9110 (11.6.1)
"""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode, urlsplit

from binder.errors import OperatorFault, WorldFault

if TYPE_CHECKING:
    from pydantic import SecretStr  # reading it takes longer than all else here

_SCHEME = re.compile(r'(?i)(?:\A|,)\s*(basic|bearer)(?=\s|,|\Z)((?:[^",]|"(?:[^"\\]|\\.)*"|,(?!\s*\w+\s+\w+=))*)')
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_TOKEN = re.compile(r"\A[\x21-\x7e]{1,16384}\Z")
_ACTIONS = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}
_TOKEN_SECONDS = 60  # what a token is good for where its giver does not say
_SPARE_SECONDS = 10  # for the way to the registry, and clocks that differ

GiveToken = Callable[[str, str | None], Awaitable[bytes]]
"""Asks an address for a token, with an Authorization or without, and returns what it says."""


@dataclass(frozen=True)
class Challenge:
    """What a registry asks for."""

    scheme: Literal["basic", "bearer"]
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Token:
    """What lets us in until `expires`, in seconds of the monotonic clock."""

    value: str
    expires: float


def read_challenge(header: str) -> Challenge | None:
    """Return what `WWW-Authenticate` asks for, a token before a password; None where it is neither."""
    found: dict[str, Challenge] = {}
    for scheme, text in _SCHEME.findall(header):
        parameters = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(text)}
        kind: Literal["basic", "bearer"] = "bearer" if scheme.lower() == "bearer" else "basic"
        found.setdefault(kind, Challenge(kind, parameters))
    return found.get("bearer") or found.get("basic")


def read_token(body: bytes, now: float) -> Token:
    """Return the token that a token server gave; `now` is of the monotonic clock.

    Raises: WorldFault.
    """
    try:
        said = json.loads(body)
        value = str(said.get("token") or said["access_token"])
        seconds = float(said.get("expires_in") or _TOKEN_SECONDS)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WorldFault("The registry's token server says something that cannot be read.") from error
    if not _TOKEN.match(value):
        raise WorldFault("The registry's token server gives something that is no token.")
    return Token(value, now + max(seconds - _SPARE_SECONDS, seconds / 2))


def token_address(challenge: Challenge, host: str, *, plain_http: bool) -> str:
    """Return where to ask for the token that a challenge wants.

    The registry names the place, and our password goes there: so it must be one that nobody can listen to.
    Raises: OperatorFault, where it is not.
    """
    realm = challenge.parameters.get("realm", "")
    address = urlsplit(realm)
    known = plain_http and address.scheme == "http" and address.hostname == urlsplit(f"//{host}").hostname
    if not address.hostname or not (address.scheme == "https" or known):
        raise OperatorFault("The registry asks us to get a token from an address that is not https: it gets none.")
    asked = {name: challenge.parameters[name] for name in ("service", "scope") if challenge.parameters.get(name)}
    return f"{realm}{'&' if address.query else '?'}{urlencode(asked)}"


class Access:
    """What is known about getting into one registry."""

    def __init__(self, host: str, username: str, password: "SecretStr | None", *, plain_http: bool) -> None:
        self._host = host
        self._username = username
        self._password = password
        self._plain_http = plain_http
        self._asked_for_password = False
        self._tokens: dict[str, Token] = {}
        self._turn = asyncio.Lock()

    def authorization(self, method: str) -> str | None:
        """Return what to say with a request; None where nothing was asked for yet, or what there was has expired."""
        if self._asked_for_password:
            return self._with_password()
        token = self._tokens.get(_ACTIONS.get(method, "push"))
        return f"Bearer {token.value}" if token and token.expires > monotonic() else None

    async def meet(self, header: str, method: str, refused: str | None, give_token: GiveToken) -> None:
        """Make ready what a registry asked for that `refused` us, so that the next `authorization` says it.

        Raises: OperatorFault, where we have not what it wants; what `give_token` raises.
        """
        challenge = read_challenge(header)
        async with self._turn:
            if self.authorization(method) not in {None, refused}:
                return  # another request has met it meanwhile
            if challenge and challenge.scheme == "bearer":
                address = token_address(challenge, self._host, plain_http=self._plain_http)
                token = read_token(await give_token(address, self._with_password()), monotonic())
                self._tokens[_ACTIONS.get(method, "push")] = token
                return
        if challenge is None or refused or not self._with_password():
            raise OperatorFault(
                "The registry does not let us in. Set BINDER_REGISTRY_USERNAME and BINDER_REGISTRY_PASSWORD to an "
                "account that may read and write there."
            )
        self._asked_for_password = True

    def _with_password(self) -> str | None:
        if not self._username or self._password is None:
            return None
        pair = f"{self._username}:{self._password.get_secret_value()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
