"""Fetches what lies at addresses that strangers name: from public hosts only, over TLS, and no more than is wanted.

A host that the operator's settings name is asked wherever it is. A name is looked up once, and the connection goes to
what was found: asked twice, a hostile name server could answer differently. Each redirection is checked anew.
"""

import json
import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from binder.errors import BinderError, OperatorFault, RepositoryFault, VisitorFault, WorldFault
from build.commits.addresses import public_addresses

_MOST_JSON_BYTES = 8 * 2**20
_REDIRECTS_AT_MOST = 5
_TIMEOUT: Final = httpx.Timeout(30, connect=10)
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "binder"}
_LATER = frozenset({408, 425, 429})


class NothingThereError(VisitorFault):
    """The server has nothing at this address."""


class Downloads:
    """Gives connections; `known` are the hosts (`name[:port]`) that the operator's settings name.

    `certificates` is a PEM file of the authorities that are trusted; None: the system's.
    """

    def __init__(self, certificates: Path | None, known: Collection[str]) -> None:
        self._certificates = certificates
        self._known = frozenset(known)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Connection"]:
        """Give a connection for the block.

        Raises: OperatorFault, where the certificates cannot be read.
        """
        # As for git, a proxy of this process's environment is none of a stranger's.
        async with httpx.AsyncClient(verify=self._trusted, timeout=_TIMEOUT, trust_env=False) as client:
            yield Connection(client, self._known)

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._certificates)
        except OSError as error:
            raise OperatorFault(f"The certificates in {self._certificates} cannot be read: {error}") from error


class Connection:
    """Fetches over HTTP; where servers allow it, one connection serves several requests."""

    def __init__(self, client: httpx.AsyncClient, known: Collection[str]) -> None:
        self._client = client
        self._known = known

    async def json(self, url: str) -> Any:
        """Return what the JSON at an address holds.

        Raises: NothingThereError; RepositoryFault, where it is not open to everybody; VisitorFault, where the host is
        none that anybody may be sent to; WorldFault.
        """
        content = bytearray()
        async with self.open(url, accept="application/json") as pieces:
            async for piece in pieces:
                content += piece
                if len(content) > _MOST_JSON_BYTES:
                    raise WorldFault(f"{_host(url)} answered with more than this service reads.")
        try:
            return json.loads(content)
        except ValueError as error:
            raise WorldFault(f"{_host(url)} answered with something that is not JSON.") from error

    @asynccontextmanager
    async def open(self, url: str, *, accept: str = "*/*") -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the content at an address, piece by piece.

        Raises: as `json`.
        """
        try:
            response = await self._answer(url, accept)
            try:
                yield response.aiter_raw()
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WorldFault(f"{_host(url)} did not answer: {str(error) or type(error).__name__}") from error

    async def _answer(self, url: str, accept: str) -> httpx.Response:
        for _ in range(_REDIRECTS_AT_MOST + 1):
            request = await self._request(url, accept)
            response = await self._client.send(request, stream=True)
            if response.status_code == 200:
                return response
            await response.aclose()
            if not response.has_redirect_location:
                raise _fault_of(response.status_code, url)
            url = str(httpx.URL(url).join(response.headers["location"]))
        raise WorldFault(f"{_host(url)} sends this service from one address to the next.")

    async def _request(self, url: str, accept: str) -> httpx.Request:
        headers, wanted = _HEADERS | {"Accept": accept}, httpx.URL(url).copy_with(userinfo=b"")
        host = wanted.netloc.decode()
        if host in self._known:
            return self._client.build_request("GET", wanted, headers=headers)
        if wanted.scheme != "https" or not wanted.host:
            raise WorldFault(f"{host or 'The server'} is to be asked without TLS, which this service does not do.")
        address = (await public_addresses(f"https://{host}"))[0].strip("[]")
        # The certificate must be the name's, not the address's; of two names there, each has a connection of its own.
        headers, extensions = headers | {"Host": host, "Connection": "close"}, {"sni_hostname": wanted.host}
        return self._client.build_request("GET", wanted.copy_with(host=address), headers=headers, extensions=extensions)


def _host(url: str) -> str:
    """Return what a sentence calls the server at an address."""
    return urlsplit(url).netloc.rpartition("@")[2] or "The server"


def _fault_of(status: int, url: str) -> BinderError:
    host = _host(url)
    if status == 404:
        return NothingThereError(f"{host} has nothing at this address.")
    if status == 410:
        return RepositoryFault(f"{host} says that this was withdrawn.", step="fetch")
    if status in {401, 403}:
        return RepositoryFault(
            f"{host} does not give this to everybody: it may be embargoed, restricted or private.", step="fetch"
        )
    if status in _LATER or status >= 500:
        return WorldFault(f"{host} cannot answer at present (HTTP {status}). Please try again later.")
    return WorldFault(f"{host} answered with HTTP {status}.")
