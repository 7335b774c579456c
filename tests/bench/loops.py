"""`loop-10k`: one pass of all loops at rest, with 10,000 sessions that run and 50,000 builds in the store.

The store, HAProxy and the stand-in for GitHub are real; the sessions are words in the table of an engine of tests.
One repository in ten is private, with sessions that GitHub permits. What looks at no row of the store at rest is left
out: the loops of garbage (hourly) and of environments. `memory-session` is what this process and HAProxy hold more for
each of the sessions.
"""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import insert

from binder.cli.demo import take_port
from binder.cli.registration import register
from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.names import new_session_id, new_token
from binder.paths import Paths
from binder.process import find_account
from binder.service.github import GitHubSide
from binder.service.sources import PublicRefs
from binder.settings import Settings, read_settings
from binder.store import Store, open_store
from binder.store.tables import Build, Delivery, Grant, Preview, Report, Repository, Row, Session, Visitor, utc_now
from build.commits.git import Git
from build.quotas import ForkQuota
from deploy.engine import SessionSpec
from deploy.fake import FakeEngine, FakeImage
from deploy.keeper import Keeper
from githubapp.sandbox.server import running_sandbox
from githubapp.setup import SetUp
from proxy.context import ProxyContext
from proxy.haproxy import run_haproxy
from proxy.open_sessions import OpenSessions
from proxy.routes import RouteKeeper, stored_routes
from tests.bench.figures import Figure
from tests.bench.place import folder
from tests.bench.resting import resident_mb

_REPOSITORIES, _PREVIEWS, _BUILDS, _SESSIONS, _STANDBYS = 1_000, 5_000, 50_000, 10_000, 10
_ROUNDS = 7
_WARM_UP = 5
_PIECE = 5_000

Steps = Mapping[str, Callable[[], Awaitable[object]]]


async def measure() -> list[Figure]:
    """Fill a store, let the loops settle, and time passes of them; then see what the sessions take."""
    with folder() as home:
        async with AsyncExitStack() as stack:
            settings, paths = await _settings(stack, home)
            store = await stack.enter_async_context(open_store(settings.store_url))
            haproxy = await stack.enter_async_context(run_haproxy(settings, paths, lambda: stored_routes(store)))
            engine = FakeEngine({"image": FakeImage()})
            github = stack.enter_context(closing(GitHubSide(store, settings)))
            await github.begin_with(settings)
            keeper = Keeper(store, engine, settings)
            stack.push_async_callback(keeper.close)
            routes = RouteKeeper(store, haproxy.runtime)
            git = Git(paths, find_account(settings.build_account), None, timeout_seconds=10)
            set_up = SetUp(settings, paths, github.begin_with)
            refs = PublicRefs(git, settings)
            context = ProxyContext(store, settings, paths, haproxy.runtime, routes, refs, set_up, github.visitors)
            steps = _steps(context, keeper, github)
            assert haproxy.pid
            await _pass(steps)
            before = resident_mb(os.getpid()) + resident_mb(haproxy.pid)
            await _fill(store, engine)
            gc.collect()
            gc.freeze()  # as the service does
            for _ in range(_WARM_UP):
                await _pass(steps)
            passes = [await _pass(steps) for _ in range(_ROUNDS)]
            grown = resident_mb(os.getpid()) + resident_mb(haproxy.pid) - before
    slowest = ", ".join(f"{name} {min(one[name] for one in passes):.3f}" for name in passes[0])
    return [
        Figure("loop-10k", [sum(one.values()) for one in passes], f"one pass of all loops ({slowest})"),
        Figure(
            "memory-session", [grown / _SESSIONS], "service and HAProxy, for each of the 10,000 sessions", unit="MB"
        ),
    ]


async def _settings(stack: AsyncExitStack, home: Path) -> tuple[Settings, Paths]:
    (home / "github").mkdir()
    sandbox = await stack.enter_async_context(running_sandbox(home / "github"))
    usual = read_settings()
    port = take_port(0, "")
    environment = await register(
        sandbox, owner="ada", port=port, home=home, cache=usual.cache_dir, account=usual.build_account
    )
    given = {name.removeprefix("BINDER_").lower(): value for name, value in environment.items() if "BINDER_" in name}
    settings = read_settings(**given, sessions_at_most=_SESSIONS + 1, standbys_at_most=_STANDBYS)
    paths = Paths(settings.state_dir, settings.cache_dir)
    paths.make(find_account(settings.build_account))
    return settings, paths


def _steps(context: ProxyContext, keeper: Keeper, github: GitHubSide) -> Steps:
    settings = context.settings
    builds = ForkQuota(settings.fork_builds_at_once, settings.build_timeout_seconds)
    return {
        "sessions": keeper.step,
        "routes": context.keeper.step,
        "access": OpenSessions(context).step,
        "builds": lambda: builds.claim(context.store, lease_seconds=30),
        **github.loops(),
    }


async def _pass(steps: Steps) -> dict[str, float]:
    """Return how long each loop took: name → seconds."""
    took: dict[str, float] = {}
    for name, step in steps.items():
        began = monotonic()
        await step()
        took[name] = monotonic() - began
    await asyncio.sleep(0)
    return took


async def _fill(store: Store, engine: FakeEngine) -> None:
    now, image = utc_now(), "image"
    repositories = range(1, _REPOSITORIES + 1)
    old = {"queued_at": now - timedelta(days=1), "finished_at": now - timedelta(days=1)}
    await _insert(store, Repository, ({"id": one, **_repository(one)} for one in repositories))
    private = [one for one in repositories if _is_private(one)]
    visitor = {"id": 1, "host": "example.org", "external_id": 1, "login": "ada", "tokens": "sealed"}
    await _insert(store, Visitor, iter([visitor]))
    granted = {"visitor_id": 1, "epoch": 0, "asked_at": now}
    await _insert(store, Grant, ({"repository_id": one, **granted} for one in private))
    await _insert(store, Preview, ({"id": one + 1, **_preview(one)} for one in range(_PREVIEWS)))
    await _insert(store, Build, ({"id": one + 1, **_build(one), **old} for one in range(_BUILDS)))
    await _insert(store, Delivery, (_delivery(one) for one in range(_BUILDS)))
    await _insert(store, Report, (_report(one) for one in range(_BUILDS)))
    rows = []
    for number in range(_SESSIONS):
        spec = SessionSpec(new_session_id(), image, new_token(), memory_bytes=1, cpus=1, pids=1)
        target = await engine.start(spec)
        # Those of the newest previews are free, as the pool has it.
        state = SessionState.STANDBY if number >= _SESSIONS - _STANDBYS else SessionState.OPEN
        build = _BUILDS - _SESSIONS + number
        repository_id = _build(build)["repository_id"]
        rows.append(
            {
                "id": spec.id,
                "token": spec.token,
                "repository_id": repository_id,
                "visitor_id": 1 if _is_private(repository_id) else None,
                "build_id": build + 1,
                "image": f"image{build}",
                "state": state,
                "target": target,
                "created_at": now,
                "ready_at": now,
                "opened_at": None if state is SessionState.STANDBY else now,
                "activity_at": now,
            }
        )
    await _insert(store, Session, iter(rows))


def _is_private(repository_id: int) -> bool:
    return repository_id % 10 == 0


def _repository(number: int) -> dict[str, Any]:
    return {
        "host": "example.org",
        "owner": "ada",
        "name": f"notes{number}",
        "clone_url": f"https://example.org/ada/notes{number}.git",
        "default_branch": "b0",
        "private": _is_private(number),
        "access_epoch": 0,
    }


def _preview(number: int) -> dict[str, Any]:
    newest = f"{_BUILDS - _PREVIEWS + number:040x}"
    repository = number % _REPOSITORIES + 1
    return {"repository_id": repository, "kind": "branch", "ref": f"b{number // _REPOSITORIES}", "head_sha": newest}


def _build(number: int) -> dict[str, Any]:
    preview = number % _PREVIEWS
    return {
        "repository_id": preview % _REPOSITORIES + 1,
        "preview_id": preview + 1,
        "sha": f"{number:040x}",
        "state": BuildState.SUCCEEDED,
        "result": {"image": f"image{number}", "way": "content", "layers": [{"kind": "content", "key": "0" * 64}] * 4},
    }


def _delivery(number: int) -> dict[str, Any]:
    return {
        "host": "example.org",
        "app_id": 1,
        "guid": f"guid-{number}",
        "event": "push",
        "payload": {"after": f"{number:040x}"},
        "state": DeliveryState.ACTED,
    }


def _report(number: int) -> dict[str, Any]:
    told = {"state": "success", "description": "Ready"}
    repository = _build(number)["repository_id"]
    subject = f"{number:040x}"
    return {
        "repository_id": repository,
        "kind": "status",
        "subject": subject,
        "wanted": told,
        "sent": told,
        "owed": False,
    }


async def _insert(store: Store, kind: type[Row], rows: Iterator[dict[str, Any]]) -> None:
    piece: list[dict[str, Any]] = []
    for row in rows:
        piece.append(row)
        if len(piece) == _PIECE:
            await _write(store, kind, piece)
            piece = []
    if piece:
        await _write(store, kind, piece)


async def _write(store: Store, kind: type[Row], piece: list[dict[str, Any]]) -> None:
    async with store.write() as session:
        await session.execute(insert(kind), piece)
