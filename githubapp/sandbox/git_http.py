"""Git over smart HTTP: who may fetch and push, how many at a time and for how long.

Owns the door. The exchange itself is left to `git_backend`, what follows from a push to `pushes`.

Source: https://git-scm.com/docs/http-protocol
"""

import asyncio
import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from githubapp.sandbox.access import Actor, Refusal, actor_with_token, may, may_see
from githubapp.sandbox.git_backend import BackendRequest, CutOffError, refuse_large_body, run_backend
from githubapp.sandbox.names import is_owner, is_repository
from githubapp.sandbox.pushes import PUSHED_REFS, after_push
from githubapp.sandbox.values import Repository
from githubapp.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXCHANGE_SECONDS = 300.0
_CONCURRENT = 8

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
        except CutOffError:
            return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._exchange(scope)
        if isinstance(exchange, Response):
            await exchange(scope, receive, send)
            return
        refuse_large_body(scope)
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
        number = exchange.repository.id
        request = BackendRequest(self._world.git.root, number, exchange.service, exchange.action, exchange.pusher)
        if exchange.changes_refs:
            async with self._world.push_locks[number]:
                before = await self._world.git.refs(number, *PUSHED_REFS)
                try:
                    await run_backend(request, scope, receive, send)
                finally:
                    # Refs may have moved even where the client did not stay for the answer.
                    await after_push(self._world, number, exchange.pusher, before)
        else:
            await run_backend(request, scope, receive, send)
        # Only now is the client let go: when `git push` returns, all that follows from it has begun.
        await send({"type": "http.response.body", "body": b"", "more_body": False})


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
