"""The part that makes things so: the loops of builds, sessions, garbage, and of what GitHub is asked and told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from starlette.applications import Starlette

from binder.cgroups import Allowance, Cgroups, Limits
from binder.leadership import Leadership, boot_time
from binder.service.builder import Builder
from binder.service.common import Common
from binder.service.engines import chosen_engine, chosen_preloader
from binder.service.loops import Loops
from binder.service.sources import CommittedFiles, RepositorySources
from binder.service.web import network_socket, serving
from binder.settings import Settings
from binder.stages import Stages
from binder.traces import Traces, are_wanted, opened_exporter
from binder.watchdog import Watchdog
from build.again import Rebuilder
from build.garbage.collector import Collector, policy_of
from build.limits import BuildLimits
from build.quotas import ForkQuota
from build.worker import BuildWorker
from deploy.engine import Engine
from deploy.keeper import ON_A_CLUSTER, ON_ONE_MACHINE, Keeper
from deploy.manifests import service_host
from deploy.notebooks.checker import Checker
from proxy.health import Health, check_store
from proxy.metrics import OwnFigures

_BUILD_PIDS = 4096
_BUILD_CPUS = 1.0


@asynccontextmanager
async def working_controller(
    common: Common, builder: Builder, limits: Limits, loops: Loops, *, ephemeral: bool
) -> AsyncIterator[None]:
    """Have `loops` make what the store asks for while the block runs, and nobody else; what they began is given up with
    it, for whoever comes next. With `ephemeral`, all sessions end with it.

    Raises: OperatorFault, where there is no engine.
    """
    settings, store = common.settings, common.store
    build_limits = _build_limits(common, limits)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(chosen_engine(common, limits))
        common.views.engine = engine
        stack.callback(setattr, common.views, "engine", None)
        if ephemeral:
            stack.push_async_callback(_end_sessions, engine)
        # Whoever was at work before is not any more, and what he began is taken up at once.
        await store.release_leases(of_all=True)
        stack.push_async_callback(store.release_leases)
        builds = _builds(common, builder, build_limits)
        stack.push_async_callback(builds.close)
        on_a_cluster = settings.engine == "kubernetes"
        at_once, host_of = ON_ONE_MACHINE, None
        if on_a_cluster:
            at_once, host_of = ON_A_CLUSTER, partial(service_host, await store.instance())
        sessions = Keeper(store, engine, settings, at_once=at_once, host_of=host_of)
        stack.push_async_callback(sessions.close)
        committed = CommittedFiles(store, builder.git, RepositorySources(common.github, settings))
        checker = Checker(store, engine, settings, committed, at_once=settings.builds_at_once, host_of=host_of)
        stack.push_async_callback(checker.close)
        if on_a_cluster and settings.preload_disk_bytes:
            preloader = await stack.enter_async_context(chosen_preloader(settings, store))
            loops.run("preload", preloader.step, always_rests=True)
        traces = None
        if are_wanted():
            exporter = await stack.enter_async_context(opened_exporter())
            traces = Traces(store, exporter, await store.instance())
        # Before what they began, the loops that begin it.
        stack.push_async_callback(loops.stop)
        rebuilder = Rebuilder(store, builder.again, common.paths, build_limits, secrets=builder.host.secrets)
        collector = Collector(
            store,
            builder.buildah,
            builder.account,
            policy_of(settings),
            has_registry=bool(settings.registry),
            figures=common.figures,
        )
        loops.run("stages", Stages(store, common.figures).step, always_rests=True)
        if traces:
            loops.run("traces", traces.step, always_rests=True)
        loops.run("builds", builds.step)
        loops.run("environments", rebuilder.step)
        loops.run("garbage", collector.step)
        loops.run("notebooks", checker.step)
        loops.run("starts", sessions.start_wanted)
        loops.run("sessions", sessions.step, always_rests=True)
        for name, step in common.github.loops().items():
            loops.run(name, step, store.arrived if name == "deliveries" else None)
        yield


@asynccontextmanager
async def answering(common: Common) -> AsyncIterator[None]:
    """Say how a controller does that has no proxy beside it: on the network, to whoever runs it.

    Raises: OperatorFault, where nobody may listen there.
    """
    health = Health({"store": lambda: check_store(common.store)})
    figures = OwnFigures(common.figures, common.settings)
    app = Starlette(routes=[*health.routes(), *figures.routes()])
    async with serving(app, network_socket(common.settings.listen)):
        yield


async def lead_controller(common: Common, builder: Builder, limits: Limits, *, ephemeral: bool) -> None:
    """Have a controller work whenever it is this process's turn, for ever.

    Raises: OperatorFault, where there is no cluster; what ended a loop.
    """
    # Who has no cluster does not wait two seconds for its client.
    from binder.cluster import cluster_connection  # noqa: PLC0415
    from binder.cluster_lease import ClusterLease  # noqa: PLC0415

    async def work() -> None:
        loops = Loops(common.store.changed)
        async with working_controller(common, builder, limits, loops, ephemeral=ephemeral):
            await loops.broken()

    async with cluster_connection() as connection:
        # Where what it is about is: it goes with that, and nobody needs rights in the namespace of the secrets.
        namespace, name = common.settings.namespace, f"binder-{await common.store.instance()}"
        lease = ClusterLease(connection, namespace=namespace, name=name)
        await Leadership(lease, common.store.owner, Watchdog(boot_time)).lead(work)


async def _end_sessions(engine: Engine) -> None:
    await asyncio.gather(*(engine.stop(session_id) for session_id in await engine.running()))


def _build_limits(common: Common, limits: Limits) -> BuildLimits:
    return BuildLimits(
        Cgroups(limits, f"{common.paths.instance}-builds"),
        Allowance(common.settings.build_memory_bytes, _BUILD_PIDS, _BUILD_CPUS),
        common.settings.cache_dir,
        common.settings.disk_reserve_bytes,
    )


def _builds(common: Common, builder: Builder, limits: BuildLimits) -> BuildWorker:
    settings = common.settings
    return BuildWorker(
        common.store,
        builder.pipeline,
        RepositorySources(common.github, settings),
        builder.buildah,
        at_once=settings.builds_at_once,
        forks=ForkQuota(_forks_at_once(settings), settings.build_timeout_seconds),
        log_bytes=settings.build_log_bytes,
        secrets=builder.host.secrets,
        limits=limits,
        count=common.figures.built,
    )


def _forks_at_once(settings: Settings) -> int:
    """Return how many commits of forks are built at once: a place is left to all others, where there are two."""
    return min(settings.fork_builds_at_once, max(1, settings.builds_at_once - 1))
