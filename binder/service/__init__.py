"""The process that wires everything: the only place where adapters are chosen.

Owns the order in which parts start and stop, and the locks that keep two services from one state. What the parts do is
theirs.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette

from binder.cgroups import Allowance, Cgroups, limits_for, read_cgroup_facts
from binder.containers import prepare_engine, release_engine
from binder.errors import OperatorFault
from binder.log import logger
from binder.loop import Hint, run_loop
from binder.paths import Paths
from binder.process import Account, find_account
from binder.service.builder import Builder, registries_of, wired_builder
from binder.service.github import GitHubSide
from binder.service.machine import check_machine
from binder.service.sources import PublicRefs, RepositorySources
from binder.service.web import serving
from binder.settings import Settings
from binder.store import Store, open_store
from build.again import Rebuilder
from build.commits.git import Git
from build.garbage.collector import Collector, policy_of
from build.host import find_host_settings, write_host_folder
from build.limits import BuildLimits
from build.quotas import ForkQuota
from build.worker import BuildWorker
from deploy.keeper import Keeper
from deploy.podman import PodmanEngine
from githubapp.setup import SetUp
from githubapp.stored_app import with_stored_app
from proxy.certificates import Renewals
from proxy.context import ProxyContext
from proxy.haproxy import run_haproxy, service_socket
from proxy.open_sessions import OpenSessions
from proxy.origins import risk_of_one_origin
from proxy.pages import routes
from proxy.routes import RouteKeeper, stored_routes

log = logger(__name__)

_POLL_SECONDS = 2.0
_BUILD_PIDS = 4096
_BUILD_CPUS = 1.0


@dataclass(frozen=True)
class Service:
    """A service that runs: what whoever started it may use."""

    store: Store
    paths: Paths
    git: Git
    loops: list[asyncio.Task[None]] = field(default_factory=list)

    async def until_broken_or(self, stopping: asyncio.Event) -> None:
        """Wait until `stopping` is set, or a loop ends, which none may.

        Raises: what ended the loop.
        """
        stop = asyncio.create_task(stopping.wait())
        try:
            done, _ = await asyncio.wait({stop, *self.loops}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                await task
        finally:
            stop.cancel()


@asynccontextmanager
async def running_service(settings: Settings, *, ephemeral: bool = False) -> AsyncIterator[Service]:
    """Run a service while the block runs; with `ephemeral`, its sessions end with it.

    Raises: OperatorFault, where this machine or its settings do not allow it.
    """
    os.umask(0o022)  # what the build account and HAProxy must read is said where it is written, not by the caller
    account = find_account(settings.build_account)
    check_machine(account, settings.cache_dir)
    if risk := risk_of_one_origin(settings):
        log.warning("origin_shared", explanation=risk)
    paths = Paths(settings.state_dir, settings.cache_dir)
    async with contextlib.AsyncExitStack() as stack:
        _make_folders(paths, account)
        stack.enter_context(_alone_in(paths.state))
        builder = await stack.enter_async_context(_builder(settings, paths, account))
        store = await stack.enter_async_context(open_store(settings.store_url))
        await store.release_leases(of_host=socket.gethostname())
        github = stack.enter_context(contextlib.closing(GitHubSide(store, settings)))
        await github.begin_with(with_stored_app(settings, paths.github))
        limits = limits_for(read_cgroup_facts())
        if limits.explanation:
            log.warning("limits_missing", explanation=limits.explanation)
        engine = PodmanEngine(paths, account, limits)
        service = Service(store, paths, builder.git)
        if ephemeral:
            stack.push_async_callback(_end_sessions, engine)
        await _start(stack, service, settings, builder, engine, github)
        stack.push_async_callback(_stop_loops, service)
        yield service


async def _start(
    stack: contextlib.AsyncExitStack,
    service: Service,
    settings: Settings,
    builder: Builder,
    engine: PodmanEngine,
    github: GitHubSide,
) -> None:
    """Start all parts, those first that others need."""
    store, paths = service.store, service.paths
    haproxy = await stack.enter_async_context(run_haproxy(settings, paths, lambda: stored_routes(store)))
    keeper = RouteKeeper(store, haproxy.runtime)
    set_up = SetUp(settings, paths, github.begin_with)
    refs = PublicRefs(builder.git, settings)
    context = ProxyContext(store, settings, paths, haproxy.runtime, keeper, refs, set_up, github.visitors)
    app = Starlette(routes=[github.route(), *routes(context)])
    await stack.enter_async_context(serving(app, service_socket(paths)))
    limits = BuildLimits(
        Cgroups(engine.limits, f"{paths.instance}-builds"),
        Allowance(settings.build_memory_bytes, _BUILD_PIDS, _BUILD_CPUS),
        settings.cache_dir,
        settings.disk_reserve_bytes,
    )
    builds = BuildWorker(
        store,
        builder.pipeline,
        RepositorySources(github, settings),
        builder.buildah,
        builder.account,
        at_once=settings.builds_at_once,
        forks=ForkQuota(_forks_at_once(settings), settings.build_timeout_seconds),
        log_bytes=settings.build_log_bytes,
        secrets=builder.host.secrets,
        limits=limits,
        count=context.figures.built,
    )
    stack.push_async_callback(builds.close)
    sessions = Keeper(store, engine, settings)
    stack.push_async_callback(sessions.close)
    rebuilder = Rebuilder(store, builder.again, paths, limits, secrets=builder.host.secrets)
    collector = Collector(
        store, builder.buildah, builder.account, policy_of(settings), has_registry=bool(settings.registry)
    )
    _run(service, "builds", builds.step)
    _run(service, "environments", rebuilder.step)
    _run(service, "garbage", collector.step)
    _run(service, "starts", sessions.start_wanted)
    _run(service, "sessions", sessions.step, always_rests=True)
    _run(service, "routes", keeper.step, always_rests=True)
    _run(service, "access", OpenSessions(context).step)
    if settings.certificates:
        renewals = Renewals(settings.certificates, haproxy.certificates, haproxy.serve_certificate)
        _run(service, "certificates", renewals.step)
    for name, step in github.loops().items():
        _run(service, name, step, store.arrived if name == "deliveries" else None)


def _forks_at_once(settings: Settings) -> int:
    """Return how many commits of forks are built at once: a place is left to all others, where there are two."""
    return min(settings.fork_builds_at_once, max(1, settings.builds_at_once - 1))


def _run(
    service: Service,
    name: str,
    step: Callable[[], Awaitable[bool]],
    hint: Hint | None = None,
    *,
    always_rests: bool = False,
) -> None:
    hint = hint or service.store.changed
    loop = run_loop(name, step, hint, poll_seconds=_POLL_SECONDS, always_rests=always_rests)
    service.loops.append(asyncio.create_task(loop, name=name))


async def _end_sessions(engine: PodmanEngine) -> None:
    await asyncio.gather(*(engine.stop(session_id) for session_id in await engine.running()))


async def _stop_loops(service: Service) -> None:
    for task in service.loops:
        task.cancel()
    await asyncio.gather(*service.loops, return_exceptions=True)


def _make_folders(paths: Paths, account: Account) -> None:
    try:
        paths.make(account)
    except OSError as error:
        raise OperatorFault(
            f"{error.filename} cannot be made: {error.strerror}. "
            "Set BINDER_STATE_DIR and BINDER_CACHE_DIR to folders that this account can write to."
        ) from error


@asynccontextmanager
async def _builder(settings: Settings, paths: Paths, account: Account) -> AsyncIterator[Builder]:
    """Give what builds are made with; what interrupted builds left behind is removed, if nobody else builds here."""
    await prepare_engine(paths, account, registries_of(settings))
    host = await find_host_settings(cran=settings.cran_url, cran_snapshot=settings.cran_snapshot_url)
    await asyncio.to_thread(write_host_folder, host, paths)
    builder = wired_builder(settings, paths, account, host)
    with _open_lock(paths.cache / "in-use") as descriptor:
        if _try_lock(descriptor):
            await builder.buildah.remove_leftovers()
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_SH)
        await builder.prepare()
        try:
            yield builder
        finally:
            await builder.close()
        if _try_lock(descriptor):
            await release_engine(paths, account)


@contextmanager
def _alone_in(state: Path) -> Iterator[None]:
    """See that no other service uses the folder meanwhile."""
    with _open_lock(state / "lock") as descriptor:
        if not _try_lock(descriptor):
            raise OperatorFault(f"Another service already runs on {state}. Stop it, or set BINDER_STATE_DIR.")
        yield


@contextmanager
def _open_lock(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
