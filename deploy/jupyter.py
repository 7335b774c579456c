"""Speaks with a notebook server: is it up, when was it last used, and what does a kernel of it answer.

Works on a session's target and through the proxy alike: only the address and the headers differ. The server is the
repository's, and may be hostile: nothing that it says is longer than a bound, and nothing is taken for granted. Whether
an answer is good enough is for others to say.
"""

import asyncio
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import CloseCode
from websockets.typing import Origin

from binder.errors import RepositoryFault, WorldFault
from deploy.facts import Usage

_LONGEST_ANSWER_BYTES = 2**20
_LONGEST_MESSAGE_BYTES = 8 * 2**20
_LONGEST_OUTPUT = 2**20
_CALL_TIMEOUT_SECONDS = 30.0
_STATUS_TIMEOUT_SECONDS = 2.0

_DEAD = frozenset({"restarting", "autorestarting", "dead"})
"""What Jupyter says of a kernel that ended by itself; it may start it again, but what it had computed is gone."""

_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Server:
    """A notebook server: its address with the base path and a slash at the end, and what lets us in."""

    url: str
    headers: Mapping[str, str]

    @classmethod
    def with_token(cls, url: str, token: str) -> "Server":
        """Return the server at `url` that asks for `token`."""
        return cls(url, {"Authorization": f"token {token}"})


class Client:
    """Calls a server's API."""

    def __init__(self, server: Server) -> None:
        self.server = server
        # Trusts nobody: reading the system's certificates takes 30 ms, and plain HTTP has no use for them.
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._http = httpx.AsyncClient(
            base_url=server.url,
            headers={"Accept-Encoding": "identity", **server.headers},
            verify=ssl.create_default_context() if server.url.startswith("https://") else nobody,
            trust_env=False,
        )

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def call(
        self, method: str, path: str, content: object = None, *, timeout_seconds: float = _CALL_TIMEOUT_SECONDS
    ) -> Any:
        """Return what the server answers, as JSON.

        Raises: WorldFault, where it does not answer; RepositoryFault, where it answers something else.
        """
        try:
            async with asyncio.timeout(timeout_seconds), self._http.stream(method, path, json=content) as answer:
                body = await _bounded(answer)
        except (httpx.HTTPError, TimeoutError) as error:
            raise WorldFault("The notebook server does not answer.") from error
        if not answer.is_success:
            raise RepositoryFault(f"The notebook server answers {method} {path} with {answer.status_code}.")
        try:
            return json.loads(body) if body else None
        except _UNREADABLE as error:
            raise RepositoryFault(f"The notebook server answers {method} {path} with something unknown.") from error

    @asynccontextmanager
    async def content(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the pieces of an answer of any length; each may take a few seconds.

        Raises: WorldFault, where the server does not answer, or breaks off; RepositoryFault, where it has none.
        """
        try:
            async with self._http.stream("GET", path) as answer:
                if not answer.is_success:
                    raise RepositoryFault(f"The notebook server answers with {answer.status_code}.")
                yield answer.aiter_raw()
        except httpx.HTTPError as error:
            raise WorldFault("The notebook server does not answer.") from error

    async def is_up(self) -> bool:
        """Whether the server answers and lets us in."""
        with suppress(WorldFault, RepositoryFault):
            await self.call("GET", "api/status", timeout_seconds=_STATUS_TIMEOUT_SECONDS)
            return True
        return False

    async def warm_up(self) -> None:
        """Ask for the page that most visitors see first: the server prepares much of it only once."""
        with suppress(httpx.HTTPError, TimeoutError, RepositoryFault):
            async with asyncio.timeout(_CALL_TIMEOUT_SECONDS), self._http.stream("GET", "lab") as answer:
                await _bounded(answer)


async def _bounded(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > _LONGEST_ANSWER_BYTES:
            raise RepositoryFault("The notebook server says too much.")
    return bytes(body)


async def usage_of(server: Server) -> Usage:
    """Return the server's own account of its use; what it does not say is not taken for use.

    Source: https://jupyter-server.readthedocs.io/en/latest/developers/rest-api.html
    """
    at, is_busy = None, False
    async with Client(server) as client:
        with suppress(WorldFault, RepositoryFault, *_UNREADABLE):
            status = await client.call("GET", "api/status", timeout_seconds=_STATUS_TIMEOUT_SECONDS)
            activity = datetime.fromisoformat(status["last_activity"])
            at = activity if activity.tzinfo else None
        with suppress(WorldFault, RepositoryFault, *_UNREADABLE):
            # Asking for kernels would count as use, by the server's next account.
            path = "api/kernels?no_track_activity=1"
            kernels = await client.call("GET", path, timeout_seconds=_STATUS_TIMEOUT_SECONDS)
            is_busy = any(kernel["execution_state"] == "busy" for kernel in kernels)
    return Usage(at, is_busy)


@asynccontextmanager
async def new_kernel(client: Client, name: str = "", path: str = "") -> AsyncIterator[str]:
    """Give the id of a new kernel, and end it afterwards: of the kind `name`, or else of the server's
    default kind or its first one. It begins in the folder of the notebook at `path`, or at the server's root.

    Raises: RepositoryFault, where the server starts none; WorldFault, where it does not answer.
    """
    try:
        try:
            asked = {"name": name, "path": path} if name else {}
            started = await client.call("POST", "api/kernels", asked)
        except RepositoryFault:  # no Python in it, perhaps
            if name:
                raise
            kinds = (await client.call("GET", "api/kernelspecs"))["kernelspecs"]
            started = await client.call("POST", "api/kernels", {"name": min(kinds)})
        kernel_id = str(uuid.UUID(started["id"]))
    except (RepositoryFault, *_UNREADABLE) as error:
        raise RepositoryFault("The notebook server cannot start a kernel.") from error
    try:
        yield kernel_id
    finally:
        with suppress(WorldFault, RepositoryFault):
            await client.call("DELETE", f"api/kernels/{kernel_id}", timeout_seconds=_STATUS_TIMEOUT_SECONDS)


@asynccontextmanager
async def channels_of(server: Server, kernel_id: str) -> AsyncIterator[ClientConnection]:
    """Give the WebSocket of a kernel.

    Raises: WorldFault, where it cannot be opened, or breaks.
    """
    parts = urlsplit(server.url)
    address = parts._replace(
        scheme="wss" if parts.scheme == "https" else "ws",
        path=f"{parts.path}api/kernels/{kernel_id}/channels",
        query=f"session_id={uuid.uuid4().hex}",
    )
    opening = connect(
        address.geturl(),
        additional_headers=dict(server.headers),
        origin=Origin(f"{parts.scheme}://{parts.netloc}"),
        compression=None,
        max_size=_LONGEST_MESSAGE_BYTES,
        open_timeout=None,
        close_timeout=0.2,
        proxy=None,
    )
    try:
        async with opening as socket:
            yield socket
    except (WebSocketException, OSError) as error:
        if isinstance(error, ConnectionClosed) and error.sent and error.sent.code == CloseCode.MESSAGE_TOO_BIG:
            raise RepositoryFault(f"An output is larger than {_LONGEST_MESSAGE_BYTES // 2**20} MiB.") from error
        raise WorldFault("The connection to the kernel broke.") from error


async def ask_kernel(socket: ClientConnection, kind: str, content: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Send a request to a kernel's shell, and give all that it says about it up to its reply.

    Raises: RepositoryFault, where it says something else.
    Source: https://jupyter-client.readthedocs.io/en/stable/messaging.html
    """
    message_id = uuid.uuid4().hex
    header = {"msg_id": message_id, "msg_type": kind, "username": "", "session": uuid.uuid4().hex, "version": "5.3"}
    request = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
    await socket.send(json.dumps(request))
    # A cell's output comes on another channel than the reply, and may come after it: "idle" says that this was all.
    missing = {"reply", "idle"} if kind == "execute_request" else {"reply"}
    try:
        async for data in socket:
            message = json.loads(data)
            if message["msg_type"] == "status" and message["content"].get("execution_state") in _DEAD:
                raise RepositoryFault("The kernel died.")
            if message["parent_header"].get("msg_id") != message_id:
                continue
            yield message
            if message["channel"] == "shell":
                missing.discard("reply")
            if message["content"].get("execution_state") == "idle":
                missing.discard("idle")
            if not missing:
                return
    except _UNREADABLE as error:
        raise RepositoryFault("The kernel does not speak Jupyter's protocol.") from error
    raise RepositoryFault("The kernel ended before it had answered.")


def text_of(message: Mapping[str, Any]) -> str:
    """Return what a message of a kernel adds to the text of a cell's output.

    Raises: RepositoryFault, where it says that the cell failed.
    """
    content = message["content"]
    match message["msg_type"]:
        case "stream":
            return str(content["text"])
        case "execute_result" | "display_data":
            return str(content["data"].get("text/plain", ""))
        case "error":
            raise RepositoryFault(f"The cell failed: {content['ename']}: {content['evalue']}")
        case _:
            return ""


async def compute(server: Server, code: str, *, timeout_seconds: float) -> str:
    """Run `code` in a new kernel of its own and return the text of its output.

    Raises: RepositoryFault, where the code fails; WorldFault, where the kernel does not answer in time.
    """
    output = ""
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            Client(server) as client,
            new_kernel(client) as kernel_id,
            channels_of(server, kernel_id) as socket,
        ):
            async for message in ask_kernel(socket, "execute_request", {"code": code}):
                output = (output + text_of(message))[:_LONGEST_OUTPUT]
    except TimeoutError as error:
        raise WorldFault(f"The kernel did not answer within {timeout_seconds:g} s.") from error
    return output
