"""A service that runs elsewhere, or here: asked over its API, with an operator's token from the environment.

By the standard library alone, which is there at once. The token goes to the service's own address and nowhere else: no
redirect is followed, and it is in no argument, no message and no log.
"""

import http.client
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from binder.errors import BinderError, OperatorFault, RepositoryFault, VisitorFault, WorldFault

_SECONDS = 60.0
_MOST_BYTES = 2**26
_KINDS: Final[Mapping[str, type[BinderError]]] = {"visitor": VisitorFault, "operator": OperatorFault}


@dataclass(frozen=True)
class Answer:
    """What a service answered: a text, and its headers by their lower-case names."""

    text: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Remote:
    """A service at an address."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"Remote({self.url!r})"

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        """Ask for JSON.

        Raises: BinderError: the service's own fault, or that it cannot be asked.
        """
        return self.ask_now(method, path, body, **query)

    async def read(self, path: str, **query: Any) -> Answer:
        """Ask for a text."""
        return self._ask("GET", path, None, query)

    def ask_now(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        """Ask for JSON, and wait for it."""
        return json.loads(self._ask(method, path, body, query).text)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, Any]) -> Answer:
        parts = urlsplit(self.url)
        asked = {name: value for name, value in query.items() if value is not None}
        address = parts.path.rstrip("/") + path + (f"?{urlencode(asked)}" if asked else "")
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json, text/plain"}
        data = None if body is None else json.dumps(body)
        connection = _connection(parts.scheme, parts.netloc)
        try:
            connection.request(method, address, data, headers)
            response = connection.getresponse()
            text = response.read(_MOST_BYTES).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise WorldFault(f"The service at {self.url} does not answer: {error}.") from error
        finally:
            connection.close()
        if response.status == 200:
            return Answer(text, {name.lower(): value for name, value in response.getheaders()})
        raise _fault(response.status, text, self.url)


def _connection(scheme: str, host: str) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, timeout=_SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, timeout=_SECONDS)


def _fault(status: int, text: str, url: str) -> BinderError:
    if status == 401:
        return VisitorFault(f"{url} does not know this BINDER_TOKEN. `binder token NAME` there makes one.")
    try:
        said = json.loads(text)
        return fault_in(said)
    except (ValueError, AttributeError):
        return WorldFault(f"{url} answered {status}, and is perhaps no service of this version.")


def fault_in(said: Mapping[str, Any]) -> BinderError:
    """Return the fault that an answer tells of."""
    message = str(said.get("message") or "The service answered with a fault, and did not say which.")
    if said.get("party") == "repository":
        return RepositoryFault(message, file=said.get("file"), line=said.get("line"), step=said.get("step"))
    return _KINDS.get(str(said.get("party")), WorldFault)(message)


def service_named() -> Remote:
    """Return the service that BINDER_URL and BINDER_TOKEN name.

    Raises: VisitorFault, where they name none.
    """
    url, token = os.environ.get("BINDER_URL", "").rstrip("/"), os.environ.get("BINDER_TOKEN", "")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise VisitorFault("BINDER_TOKEN is set: set BINDER_URL to the address of its service, https://….")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise VisitorFault("BINDER_TOKEN is no token: it has characters that none has.")
    return Remote(url, token)


def named_service() -> Remote | None:
    """Return the service that BINDER_URL and BINDER_TOKEN name; None without a token: this machine's own is meant.

    Raises: VisitorFault, where the token has no service.
    """
    return service_named() if os.environ.get("BINDER_TOKEN") else None
