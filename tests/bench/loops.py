"""`loop-10k`: one pass of all loops at rest, with 10,000 sessions that run and 50,000 builds in the store.

The store, HAProxy and the stand-in for GitHub are real; the sessions are words in the table of an engine of tests.
One repository in ten is private, with sessions that GitHub permits. What looks at no row of the store at rest is left
out: the loops of garbage (hourly) and of environments. `memory-session` is what this process and HAProxy hold more for
each of the sessions.
"""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, closing
from pathlib import Path
from time import monotonic

from binder.cli.demo import take_port
from binder.cli.registration import register
from binder.lifecycle import SessionState
from binder.names import new_session_id, new_token
from binder.paths import Paths
from binder.process import find_account
from binder.service.github import GitHubSide
from binder.service.sources import PublicRefs
from binder.settings import Settings, read_settings
from binder.store import Store, open_store
from binder.store.tables import Grant, Session, Visitor, utc_now
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
from tests.bench.filling import BUILDS, REPOSITORIES, fill, image_of, insert_rows, is_private, repository_of
from tests.bench.place import folder
from tests.bench.resting import resident_mb

_SESSIONS, _STANDBYS = 10_000, 10
_ROUNDS = 7
_WARM_UP = 5

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
        "starts": keeper.start_wanted,
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
    await fill(store)
    now = utc_now()
    visitor = {"id": 1, "host": "example.org", "external_id": 1, "login": "ada", "tokens": "sealed"}
    await insert_rows(store, Visitor, [visitor])
    private = [one for one in range(1, REPOSITORIES + 1) if is_private(one)]
    granted = {"visitor_id": 1, "epoch": 0, "asked_at": now}
    await insert_rows(store, Grant, ({"repository_id": one, **granted} for one in private))
    rows = []
    for number in range(_SESSIONS):
        spec = SessionSpec(new_session_id(), "image", new_token(), memory_bytes=1, cpus=1, pids=1)
        target = await engine.start(spec)
        # Those of the newest previews are free, as the pool has it.
        state = SessionState.STANDBY if number >= _SESSIONS - _STANDBYS else SessionState.OPEN
        build = BUILDS - _SESSIONS + number
        repository_id = repository_of(build)
        rows.append(
            {
                "id": spec.id,
                "token": spec.token,
                "repository_id": repository_id,
                "visitor_id": 1 if is_private(repository_id) else None,
                "build_id": build + 1,
                "image": image_of(build),
                "state": state,
                "target": target,
                "created_at": now,
                "ready_at": now,
                "opened_at": None if state is SessionState.STANDBY else now,
                "activity_at": now,
            }
        )
    await insert_rows(store, Session, rows)
