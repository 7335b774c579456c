"""Connections for PyGithub that speak through httpx, where respx can see and answer what is sent.

PyGithub makes one of these for each request, and asks of it what it asks of its own, which speak through requests.
Errors become those of requests, as PyGithub's callers know them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import requests
from github.Requester import Requester


class _Response:
    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self._response = response

    def getheaders(self) -> Any:
        return self._response.headers.items()

    def read(self) -> str:
        return self._response.text


class _HttpxConnection:
    scheme = "http"

    def __init__(self, host: str, port: int | None = None, timeout: float | None = None, **_others: Any) -> None:
        self.host = host
        self._base = f"{self.scheme}://{host}" + (f":{port}" if port else "")
        self._client = httpx.Client(timeout=timeout, verify=False, trust_env=False)  # noqa: S501 - nothing is sent

    def request(self, verb: str, url: str, body: Any, headers: dict[str, str], stream: bool = False) -> None:
        assert not stream
        self._request = self._client.build_request(verb, self._base + url, content=body, headers=headers)

    def getresponse(self) -> _Response:
        try:
            return _Response(self._client.send(self._request))
        except httpx.TimeoutException as error:
            raise requests.Timeout from error
        except httpx.TransportError as error:
            raise requests.ConnectionError from error

    def close(self) -> None:
        self._client.close()


class _HttpxsConnection(_HttpxConnection):
    scheme = "https"


@contextmanager
def httpx_connections() -> Iterator[None]:
    """Have every client of PyGithub that is made in the block speak through httpx."""
    Requester.injectConnectionClasses(_HttpxConnection, _HttpxsConnection)  # type: ignore[arg-type]
    try:
        yield
    finally:
        Requester.resetConnectionClasses()
