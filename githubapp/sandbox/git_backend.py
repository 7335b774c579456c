"""The real `git http-backend`, run as a CGI child for one exchange.

Owns the child, its environment and the streams to and from it; it dies when its client is gone. Who may ask, and for
how long, is left to `git_http`.

Source: https://git-scm.com/docs/git-http-backend
"""

import asyncio
import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from githubapp.sandbox.access import Refusal
from githubapp.sandbox.plumbing import end_process, start_process

_CHUNK_BYTES = 64 * 1024
_LARGEST_HEAD_BYTES = 16 * 1024
_LARGEST_BODY_BYTES = 256 * 1024 * 1024
# By its own name: as `git http-backend` it would be a child of the one that dies with us. One that has lost its client
# in the middle of a push turns in a circle for ever.
_BACKEND = ("sh", "-c", 'exec "$(git --exec-path)/git-http-backend"')
_PROTOCOL = re.compile(r"[a-z0-9=:.-]{1,100}")


@dataclass(frozen=True)
class BackendRequest:
    """What git is asked: `action` is what follows the repository in the path, `user` who is pushing."""

    root: Path
    repository_id: int
    service: str
    action: str
    user: str


class CutOffError(Exception):
    """The client hung up, or sent more than anybody takes, before it had its answer."""


async def run_backend(request: BackendRequest, scope: Scope, receive: Receive, send: Send) -> None:
    """Let git answer, but for the end of the answer, which is the caller's to send.

    Raises: CutOffError, Refusal.
    """
    environment = _cgi_environment(request, scope)
    process = await start_process(request.root, *_BACKEND, stderr=asyncio.subprocess.DEVNULL, environment=environment)
    upload = asyncio.create_task(_feed(process, receive))
    answer = asyncio.create_task(_relay(process, send))
    try:
        await _first_failure_or_end(upload, answer)
    finally:
        for task in (upload, answer):
            task.cancel()
        await asyncio.gather(upload, answer, return_exceptions=True)
        await end_process(process)


def _cgi_environment(request: BackendRequest, scope: Scope) -> dict[str, str]:
    headers = Headers(scope=scope)
    environment = {
        "GIT_PROJECT_ROOT": str(request.root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{request.repository_id}.git/{request.action}",
        "QUERY_STRING": f"service={request.service}" if request.action == "info/refs" else "",
        "REQUEST_METHOD": scope["method"],
        "REMOTE_USER": request.user,
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": headers.get("content-type", ""),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
    }
    length = headers.get("content-length", "")
    if length.isdigit():
        environment["CONTENT_LENGTH"] = length
    if _PROTOCOL.fullmatch(headers.get("git-protocol", "")):
        environment["GIT_PROTOCOL"] = headers["git-protocol"]
    return environment


def refuse_large_body(scope: Scope) -> None:
    """Raises: Refusal 413, for a request that says itself that it is too large."""
    length = Headers(scope=scope).get("content-length", "")
    if length.isdigit() and int(length) > _LARGEST_BODY_BYTES:
        raise Refusal(413, "The request is too large.")


async def _first_failure_or_end(upload: asyncio.Task[None], answer: asyncio.Task[None]) -> None:
    """Wait until the answer is complete, or either side has failed; the upload goes on listening for a hang-up."""
    await asyncio.wait({upload, answer}, return_when=asyncio.FIRST_COMPLETED)
    if answer.done():
        answer.result()
        return
    upload.result()
    await answer


async def _feed(process: asyncio.subprocess.Process, receive: Receive) -> None:
    """Give the request's body to git, then wait for the client to hang up.

    Raises: CutOffError.
    """
    stdin = process.stdin
    assert stdin is not None  # noqa: S101 - asked for as a pipe
    taken, more = 0, True
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CutOffError
        taken += len(message.get("body", b""))
        if taken > _LARGEST_BODY_BYTES:
            raise CutOffError
        # git may have answered without reading it all: that is its right, and no failure.
        with contextlib.suppress(ConnectionError):
            stdin.write(message.get("body", b""))
            await stdin.drain()
        if more and not message.get("more_body", False):
            more = False
            stdin.close()


async def _relay(process: asyncio.subprocess.Process, send: Send) -> None:
    """Pass git's answer on as it comes, without its end."""
    stdout = process.stdout
    assert stdout is not None  # noqa: S101 - asked for as a pipe
    status, headers = await _head(stdout)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    while chunk := await stdout.read(_CHUNK_BYTES):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await process.wait()


async def _head(stdout: asyncio.StreamReader) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Read the head of a CGI answer.

    Raises: Refusal 502, for a git that said nothing that makes sense.
    """
    status, size = 200, 0
    headers: list[tuple[bytes, bytes]] = []
    while (line := (await stdout.readline()).rstrip(b"\r\n")) and size < _LARGEST_HEAD_BYTES:
        size += len(line)
        name, _, value = line.partition(b":")
        if name.lower() == b"status":
            status = int(value.split()[0])
        else:
            headers.append((name.strip().lower(), value.strip()))
    if not headers:
        raise Refusal(502, "git did not answer.")
    return status, headers
