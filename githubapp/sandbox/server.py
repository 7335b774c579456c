"""Runs the stand-in: puts its doors into one application and serves it on a real port.

Owns the order of the routes, the socket, the background task and the end of all of them.
"""

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from githubapp.sandbox import (
    control,
    oidc,
    pages,
    rest,
    rest_apps,
    rest_checks,
    rest_contents,
    rest_deployments,
    rest_pulls,
    rest_repositories,
    rest_users,
    web_apps,
    web_forms,
    web_sign_in,
)
from githubapp.sandbox.access import not_found
from githubapp.sandbox.budget import Budget
from githubapp.sandbox.faults import FaultLine
from githubapp.sandbox.git_http import ACTIONS, GitHttp
from githubapp.sandbox.sandbox import Sandbox

_GRACE_SECONDS = 2

# `rest_checks` before `rest_repositories`: there `/commits/{ref}` takes all that follows for a ref.
_CALLS = (rest_checks, rest_deployments, rest_contents, rest_repositories, rest_pulls, rest_users)


def create_app(sandbox: Sandbox) -> Starlette:
    """The whole of it as one ASGI application; deliveries leave only while `sandbox.world.deliveries.run()` runs."""
    world = sandbox.world
    budget = Budget()
    rules = [*rest_apps.rules(budget), *(rule for module in _CALLS for rule in module.RULES)]
    git = GitHttp(world)
    return Starlette(
        routes=[
            *control.routes(sandbox),
            *rest.routes(rules, world, budget),
            Route("/api/{rest:path}", _no_such_call, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
            *(Route(f"/{{owner}}/{{name}}/{action}", git) for action in ACTIONS),
            *oidc.routes(world),
            *web_apps.routes(world),
            *web_sign_in.routes(world),
            *web_forms.routes(world),
            *pages.routes(world),
        ],
        middleware=[Middleware(FaultLine, faults=world.faults)],
    )


async def _no_such_call(_request: Request) -> Response:
    refusal = not_found()
    return JSONResponse(refusal.body(), refusal.status)


class _Server(uvicorn.Server):
    """A server that leaves the process's signals to whoever owns the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def running_sandbox(
    data: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    public_url: str | None = None,
    wrap: Callable[[ASGIApp], ASGIApp] | None = None,
) -> AsyncIterator[Sandbox]:
    """Serve a new stand-in until the block ends; git data lies in a new folder under `data`, and goes with it.

    `port` 0 takes any free one. `public_url` is how others reach us where that is not `http://host:port`. `wrap` puts
    something of the caller's around the application, to listen in.
    """
    with socket.create_server((host, port)) as listener, tempfile.TemporaryDirectory(dir=data, prefix="git-") as root:
        sandbox = Sandbox(public_url or f"http://{host}:{listener.getsockname()[1]}", Path(root))
        app: ASGIApp = create_app(sandbox)
        config = uvicorn.Config(
            wrap(app) if wrap else app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = _Server(config)
        async with _owned(sandbox.world.deliveries.run()), _owned(server.serve(sockets=[listener])) as serving:
            # Whoever connects before the server has begun waits in the socket's queue: there is nothing to wait for.
            try:
                yield sandbox
            finally:
                server.should_exit = True
                await serving


@contextlib.asynccontextmanager
async def _owned(work: Coroutine[object, object, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run `work` beside the block, and end it with the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
