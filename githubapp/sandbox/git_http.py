"""Git over smart HTTP: who may fetch and push, and the real `git http-backend` that does it.

Owns the CGI child of each exchange (at most eight at a time, each within a time limit, dead when its client is gone)
and the streams to and from it. What follows from a push is left to `pushes`.

Source: https://git-scm.com/docs/http-protocol
"""

import asyncio
import base64
import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from githubapp.sandbox.access import Actor, Refusal, actor_with_token, may, may_see
from githubapp.sandbox.names import is_owner, is_repository
from githubapp.sandbox.plumbing import end_process, git_environment
from githubapp.sandbox.pushes import PUSHED_REFS, after_push
from githubapp.sandbox.values import Repository
from githubapp.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXCHANGE_SECONDS = 300.0
_CONCURRENT = 8
_CHUNK_BYTES = 64 * 1024
_LARGEST_HEAD_BYTES = 16 * 1024
_LARGEST_BODY_BYTES = 256 * 1024 * 1024
_PROTOCOL = re.compile(r"[a-z0-9=:.-]{1,100}")

_SERVICES = ("git-upload-pack", "git-receive-pack")
ACTIONS = ("info/refs", *_SERVICES)


@dataclass(frozen=True)
class _Exchange:
    """One request of a git client, made sure of."""

    repository: Repository
    pusher: str
    service: str
    action: str

    @property
    def changes_refs(self) -> bool:
        return self.action == "git-receive-pack"


class _CutOffError(Exception):
    """The client hung up, or sent more than anybody takes, before it had its answer."""


class GitHttp:
    """ASGI application for `/{owner}/{name}` and one of the `ACTIONS`, with or without `.git`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._slots = asyncio.Semaphore(_CONCURRENT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._answer(scope, receive, watched_send)
        except (Refusal, TimeoutError) as error:
            if not started:
                refusal = error if isinstance(error, Refusal) else Refusal(504, "git took too long.")
                await PlainTextResponse(f"{refusal.message}\n", refusal.status, refusal.headers)(scope, receive, send)
        except _CutOffError:
            return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._exchange(scope)
        if isinstance(exchange, Response):
            await exchange(scope, receive, send)
            return
        async with asyncio.timeout(_EXCHANGE_SECONDS), self._slots:
            await self._serve(exchange, scope, receive, send)

    def _exchange(self, scope: Scope) -> _Exchange | Response:
        """What is asked for, by somebody who may.

        Raises: Refusal.
        """
        parameters: Mapping[str, str] = scope["path_params"]
        service = _service_of(scope)
        name = parameters["name"].removesuffix(".git")
        if not is_owner(parameters["owner"]) or not is_repository(name):
            raise Refusal(404, "Repository not found.")
        actor = self._actor(Headers(scope=scope).get("authorization"))
        repository = self._world.state.repository(parameters["owner"], name)
        renamed = self._world.state.repository_once_named(parameters["owner"], name)
        found = self._permitted(actor, repository or renamed, service)
        if repository is None:
            return _redirect(self._world.state.url, found, scope)
        return _Exchange(found, _login_of(self._world, actor), service, _action(scope))

    def _actor(self, authorization: str | None) -> Actor:
        """Git's Basic credentials: the password is the token; the name says nothing that the token does not."""
        if authorization is None:
            return Actor()
        try:
            return actor_with_token(self._world.state, _password(authorization))
        except (ValueError, Refusal):
            raise _who_are_you() from None

    def _permitted(self, actor: Actor, repository: Repository | None, service: str) -> Repository:
        """Hidden and missing repositories get the same answer; a stranger is asked for a name first.

        Raises: Refusal.
        """
        if repository is None or not may_see(self._world.state, actor, repository):
            raise _who_are_you() if actor.is_anonymous else Refusal(404, "Repository not found.")
        pushing = service == "git-receive-pack"
        if pushing and actor.is_anonymous:
            raise _who_are_you()
        if not may(self._world.state, actor, repository, "contents", "write" if pushing else "read"):
            raise Refusal(403, f"Permission to {repository.full_name}.git denied.")
        if pushing and repository.archived:
            raise Refusal(403, "This repository was archived so it is read-only.")
        return repository

    async def _serve(self, exchange: _Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        if not exchange.changes_refs:
            await self._run(exchange, scope, receive, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        async with self._world.push_locks[exchange.repository.id]:
            before = await self._world.git.refs(exchange.repository.id, *PUSHED_REFS)
            try:
                await self._run(exchange, scope, receive, send)
            finally:
                # Refs may have moved even where the client did not stay for the answer.
                await after_push(self._world, exchange.repository, exchange.pusher, before)
        # Only now is the client let go: when `git push` returns, all that follows from it has begun.
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _run(self, exchange: _Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**git_environment(self._world.git.root), **self._cgi_environment(exchange, scope)},
            cwd=self._world.git.root,
            start_new_session=True,
        )
        upload = asyncio.create_task(_feed(process, receive))
        answer = asyncio.create_task(_relay(process, send))
        try:
            await _first_failure_or_end(upload, answer)
        finally:
            for task in (upload, answer):
                task.cancel()
            await end_process(process)
            await asyncio.gather(upload, answer, return_exceptions=True)

    def _cgi_environment(self, exchange: _Exchange, scope: Scope) -> dict[str, str]:
        """Source: https://git-scm.com/docs/git-http-backend"""
        headers = Headers(scope=scope)
        environment = {
            "GIT_PROJECT_ROOT": str(self._world.git.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{exchange.repository.id}.git/{exchange.action}",
            "QUERY_STRING": f"service={exchange.service}" if exchange.action == "info/refs" else "",
            "REQUEST_METHOD": scope["method"],
            "REMOTE_USER": exchange.pusher,
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": headers.get("content-type", ""),
            "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        }
        length = headers.get("content-length", "")
        if length.isdigit():
            if int(length) > _LARGEST_BODY_BYTES:
                raise Refusal(413, "The request is too large.")
            environment["CONTENT_LENGTH"] = length
        if _PROTOCOL.fullmatch(headers.get("git-protocol", "")):
            environment["GIT_PROTOCOL"] = headers["git-protocol"]
        return environment


def _password(authorization: str) -> str:
    """Raises: ValueError, for anything but Basic credentials."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise ValueError(scheme)
    return base64.b64decode(encoded, validate=True).decode().partition(":")[2]


def _action(scope: Scope) -> str:
    """What follows the repository in the path."""
    return str(scope["path"]).split("/", 3)[3]


def _service_of(scope: Scope) -> str:
    """Which of the two services a request belongs to; nothing else is served.

    Raises: Refusal.
    """
    action = _action(scope)
    if action == "info/refs" and scope["method"] == "GET":
        service = QueryParams(scope["query_string"]).get("service", "")
        if service in _SERVICES:
            return service
        raise Refusal(403, "Please upgrade your git client: only smart HTTP is spoken here.")
    if action in _SERVICES and scope["method"] == "POST":
        return action
    raise Refusal(404, "Not Found")


def _who_are_you() -> Refusal:
    return Refusal(401, "Authentication is required.", headers={"www-authenticate": 'Basic realm="GitHub"'})


def _login_of(world: World, actor: Actor) -> str:
    if actor.account:
        return actor.account.login
    if actor.token:
        return world.state.apps[world.state.installations[actor.token.installation_id].app_id].bot
    return "anonymous"


def _redirect(url: str, repository: Repository, scope: Scope) -> Response:
    query = scope["query_string"].decode("latin-1")
    path = f"/{repository.full_name}.git/{_action(scope)}"
    return RedirectResponse(f"{url}{path}{'?' if query else ''}{query}", 301)


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

    Raises: _CutOffError.
    """
    stdin = process.stdin
    assert stdin is not None  # noqa: S101 - asked for as a pipe
    taken, more = 0, True
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _CutOffError
        taken += len(message.get("body", b""))
        if taken > _LARGEST_BODY_BYTES:
            raise _CutOffError
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
