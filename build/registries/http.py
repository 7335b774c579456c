"""One connection to a registry: requests that are tried again, have limits, and fail with errors of ours.

Our password and tokens go to the registry itself and to its token server, and nowhere else, wherever it may point us.
Which requests are made is left to `registry` and `blobs`.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from binder.errors import BinderError, OperatorFault, WorldFault
from build.registries.access import Access

if TYPE_CHECKING:
    from pydantic import SecretStr  # reading it takes longer than all else here

SMALL_BYTES = 4 * 2**20
"""The most that a manifest, a configuration or a list may hold: what the specification asks registries to take."""

_PAUSES_SECONDS = (0.1, 0.4, 1.5)
_LONGEST_PAUSE_SECONDS = 10.0
_REQUEST_SECONDS = 60.0
_LEAST_BYTES_PER_SECOND = 2**16
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_AT_MOST = 5
_LATER = frozenset({429, 500, 502, 503, 504})
_CODE = re.compile(r"\A[A-Z_]{1,40}\Z")
_LIMITS = httpx.Limits(max_connections=16, max_keepalive_connections=4, keepalive_expiry=30)


class UnansweredError(WorldFault):
    """The registry did not answer, or is in trouble itself: what was sent may have had its effect, or not."""


@dataclass(frozen=True)
class Answer:
    """What the registry said; `url` is where it was said, behind all redirections."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True)
class _Request:
    method: str
    content: bytes
    headers: Mapping[str, str]
    most_bytes: int


class Connection:
    """The registry at `host` (`name[:port]`); over TLS, unless `plain_http`.

    `certificates` is a PEM file of authorities that are trusted beside the system's.
    Raises: OperatorFault, where it cannot be read.
    """

    def __init__(
        self,
        host: str,
        *,
        username: str = "",
        password: "SecretStr | None" = None,
        certificates: Path | None = None,
        plain_http: bool = False,
    ) -> None:
        self._root = httpx.URL(f"{'http' if plain_http else 'https'}://{host}/")
        self._access = Access(host, username, password, plain_http=plain_http)
        self._http = httpx.AsyncClient(
            verify=_trust(certificates, plain_http=plain_http),
            timeout=httpx.Timeout(_REQUEST_SECONDS, connect=10),
            limits=_LIMITS,
            # Buildah and podman run without the variables of this process: a proxy would be known to us alone.
            trust_env=False,
        )

    async def close(self) -> None:
        """Let go of the sockets."""
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        place: str,
        *,
        expected: Collection[int],
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        most_bytes: int = SMALL_BYTES,
        once: bool = False,
    ) -> Answer:
        """Return the registry's answer to a request, which is made again where there is none, unless only `once`.

        `place` is a path from the root, or an address that the registry itself gave. Raises: UnansweredError;
        OperatorFault, where it does not let us in; WorldFault, where the answer is none of the `expected`.
        """
        request = _Request(method, content, headers or {}, most_bytes)
        pauses = iter(() if once else _PAUSES_SECONDS)
        while True:
            pause = next(pauses, None)
            try:
                answer = await self._answer_to(request, self._address(place, self._root))
            except UnansweredError:
                if pause is None:
                    raise
            else:
                if answer.status in expected:
                    return answer
                if answer.status not in _LATER or pause is None:
                    raise _fault_of(answer, method)
                pause = max(pause, _asked_pause(answer))
            await asyncio.sleep(pause)

    async def _answer_to(self, request: _Request, url: httpx.URL) -> Answer:
        authorization = self._access.authorization(request.method)
        answer = await self._send(request, url, authorization)
        if answer.status == 401:
            header = answer.headers.get("www-authenticate", "")
            await self._access.meet(header, request.method, authorization, self._give_token)
            answer = await self._send(request, url, self._access.authorization(request.method))
        for _ in range(_REDIRECTS_AT_MOST):
            if answer.status not in _REDIRECTED or request.method not in {"GET", "HEAD"}:
                return answer
            url = self._address(self.place_of(answer), self._root)
            answer = await self._send(request, url, self._access.authorization(request.method))
        raise WorldFault("The registry sends us from one address to the next without end.")

    def place_of(self, answer: Answer) -> str:
        """Return the address that an answer sends us to.

        Raises: WorldFault, where it is none; OperatorFault, where anybody could listen there.
        """
        url = self._address(answer.headers.get("location", ""), httpx.URL(answer.url))
        if url.scheme != "https" and self._root.scheme == "https":
            raise OperatorFault(
                "The registry sends us from https to an address without it. Behind a proxy that ends TLS, it has to be "
                "told its own address (docker-registry: `http.host` or `http.relativeurls`)."
            )
        return str(url)

    @staticmethod
    def _address(place: str, base: httpx.URL) -> httpx.URL:
        try:
            return base.join(place)
        except (httpx.InvalidURL, ValueError) as error:
            raise WorldFault("The registry sends us to an address that is none.") from error

    async def _give_token(self, address: str, authorization: str | None) -> bytes:
        request = _Request("GET", b"", {}, 2**16)
        answer = await self._send(request, self._address(address, self._root), authorization, to_token_server=True)
        if answer.status in _LATER:
            raise UnansweredError("The registry's token server is in trouble.")
        if answer.status != 200:
            raise _fault_of(answer, "GET")
        return answer.body

    async def _send(
        self, request: _Request, url: httpx.URL, authorization: str | None, *, to_token_server: bool = False
    ) -> Answer:
        headers = {"Accept-Encoding": "identity", "User-Agent": "binder", **request.headers}
        if authorization and (to_token_server or _origin(url) == _origin(self._root)):
            headers["Authorization"] = authorization
        seconds = _REQUEST_SECONDS + (len(request.content) + request.most_bytes) / _LEAST_BYTES_PER_SECOND
        try:
            async with (
                asyncio.timeout(seconds),
                self._http.stream(request.method, url, content=request.content, headers=headers) as answer,
            ):
                body = await _bounded(answer, request.most_bytes)
        except (httpx.TransportError, TimeoutError) as error:
            raise _fault_of_transport(error) from error
        return Answer(answer.status_code, answer.headers, body, str(answer.url))


def _trust(certificates: Path | None, *, plain_http: bool) -> ssl.SSLContext:
    if plain_http:
        # Trusts nobody: reading the system's certificates takes 30 ms.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.create_default_context()
    if certificates:
        try:
            context.load_verify_locations(certificates)
        except (OSError, ssl.SSLError) as error:
            raise OperatorFault("BINDER_REGISTRY_CERTIFICATES: it is no PEM file that can be read.") from error
    return context


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return (url.scheme, url.host, url.port)


async def _bounded(answer: httpx.Response, most_bytes: int) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > most_bytes:
            raise WorldFault("The registry sends more than what was asked for can be.")
    return bytes(body)


def _asked_pause(answer: Answer) -> float:
    after = answer.headers.get("retry-after", "")
    return min(float(after), _LONGEST_PAUSE_SECONDS) if after.isdecimal() else 0.0


def _fault_of_transport(error: Exception) -> BinderError:
    said = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return OperatorFault(
            "The registry shows a certificate that is not trusted here. Set BINDER_REGISTRY_CERTIFICATES to a PEM file "
            "with the authority that signed it."
        )
    if "WRONG_VERSION_NUMBER" in said or "RECORD_LAYER_FAILURE" in said:
        return OperatorFault("The registry does not speak https. If that is meant, set BINDER_REGISTRY_PLAIN_HTTP.")
    return UnansweredError("The registry does not answer.")


def _fault_of(answer: Answer, method: str) -> BinderError:
    if answer.status in {401, 403}:
        return OperatorFault(
            f"The registry refuses us a {method}. Check BINDER_REGISTRY_USERNAME and BINDER_REGISTRY_PASSWORD, "
            "and that this account may read and write there, and delete."
        )
    if answer.status == 405:
        return OperatorFault(
            f"The registry does not take a {method} (docker-registry: deletes need `storage.delete.enabled`)."
        )
    if answer.status == 413:
        return OperatorFault("The registry, or a proxy before it, refuses requests of 16 MiB. Raise its limit.")
    if answer.status in _LATER:
        return UnansweredError(f"The registry is in trouble: it answers {method} with {answer.status}.")
    code = _code_in(answer.body)
    return WorldFault(f"The registry answers {method} with {answer.status}{f' ({code})' if code else ''}.")


def _code_in(body: bytes) -> str:
    """Return the code of an error as the specification has it: `MANIFEST_BLOB_UNKNOWN`; else nothing."""
    try:
        code = str(json.loads(body)["errors"][0]["code"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return code if _CODE.match(code) else ""
