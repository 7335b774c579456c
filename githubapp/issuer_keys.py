"""The keys with which GitHub signs what jobs prove themselves by: fetched with bounds, and kept for a while.

A key that is not known is looked for once more, but not again and again: whoever makes up keys has us ask seldom.
Source: https://docs.github.com/en/actions/reference/security/oidc
"""

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import httpx
import jwt

from binder.errors import VisitorFault, WorldFault
from binder.log import logger

log = logger(__name__)

_FETCH_SECONDS = 10.0
_MOST_BYTES = 2**18
_MOST_KEYS = 50
_KEPT_SECONDS = 3600.0
_LEAST_SECONDS = 10.0
_LEAST_BITS = 2048


def issuer_of(github_url: str) -> str:
    """Return who signs for the jobs of a GitHub: github.com, one with data residency, or an Enterprise Server."""
    host = urlsplit(github_url).hostname or ""
    if host == "github.com":
        return "https://token.actions.githubusercontent.com"
    return f"https://token.actions.{host}" if host.endswith(".ghe.com") else f"{github_url}/_services/token"


class IssuerKeys:
    """The keys of one issuer."""

    def __init__(self, issuer: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._turn = asyncio.Lock()
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    async def key(self, kid: str) -> jwt.PyJWK:
        """Return the key of that name.

        Raises: VisitorFault, where GitHub has none; WorldFault, where GitHub does not say.
        """
        async with self._turn:  # all who wait for the same fetch find what it brought
            if kid not in self._keys or self._is_older(self._fetched_at, _KEPT_SECONDS):
                await self._fetch_unless_just_tried()
            if kid in self._keys:
                return self._keys[kid]
        raise VisitorFault("This token is signed with a key that GitHub does not have. Ask GitHub for a new one.")

    def _is_older(self, at: float | None, seconds: float) -> bool:
        return at is None or self._clock() - at > seconds

    async def _fetch_unless_just_tried(self) -> None:
        if self._is_older(self._tried_at, _LEAST_SECONDS):
            self._tried_at = self._clock()
            try:
                async with asyncio.timeout(_FETCH_SECONDS):
                    self._keys, self._fetched_at = _keys_in(await self._fetch()), self._clock()
            except (httpx.HTTPError, jwt.PyJWTError, TimeoutError, ValueError, TypeError, RecursionError) as error:
                log.warning("issuer_not_asked", issuer=self._issuer, reason=str(error) or type(error).__name__)
        if self._is_older(self._fetched_at, _KEPT_SECONDS):
            raise WorldFault("GitHub does not say which keys it signs with. Please try again in a minute.")

    async def _fetch(self) -> bytes:
        content = bytearray()
        trusted = ssl.create_default_context()  # the system's: an Enterprise Server may have an authority of its own
        async with (
            httpx.AsyncClient(verify=trusted, timeout=_FETCH_SECONDS) as client,
            client.stream("GET", f"{self._issuer}/.well-known/jwks") as answer,
        ):
            if answer.status_code != 200:
                raise ValueError(f"HTTP {answer.status_code}")
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > _MOST_BYTES:
                    raise ValueError("more than keys ever take")
        return bytes(content)


def _keys_in(content: bytes) -> Mapping[str, jwt.PyJWK]:
    """Return the keys of RS256 in an answer, by name.

    Raises: PyJWTError; ValueError; TypeError; RecursionError.
    """
    told = json.loads(content)
    listed = told.get("keys") if isinstance(told, dict) else None
    if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
        raise ValueError("no list of keys, or of more than anybody has")
    found = jwt.PyJWKSet(listed).keys
    return {key.key_id: key for key in found if isinstance(key.key_id, str) and _is_good(key)}


def _is_good(key: jwt.PyJWK) -> bool:
    return (
        key.key_type == "RSA"
        and key.algorithm_name == "RS256"
        and key.public_key_use in {None, "sig"}
        and key.key.key_size >= _LEAST_BITS
    )
