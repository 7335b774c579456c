"""The part that makes things so: the loops of builds, sessions, garbage, and of what GitHub is asked and told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from binder.cgroups import Allowance, Cgroups, Limits
from binder.service.builder import Builder
from binder.service.common import Common
from binder.service.engines import chosen_preloader
from binder.service.loops import Loops
from binder.service.sources import RepositorySources
from binder.settings import Settings
from build.again import Rebuilder
from build.garbage.collector import Collector, policy_of
from build.limits import BuildLimits
from build.quotas import ForkQuota
from build.worker import BuildWorker
from deploy.engine import Engine
from deploy.keeper import Keeper

_BUILD_PIDS = 4096
_BUILD_CPUS = 1.0


@asynccontextmanager
async def working_controller(
    common: Common, builder: Builder, engine: Engine, limits: Limits, loops: Loops
) -> AsyncIterator[None]:
    """Have `loops` make what the store asks for while the block runs; what they began is given up with it."""
    settings, store = common.settings, common.store
    build_limits = _build_limits(common, limits)
    async with AsyncExitStack() as stack:
        builds = _builds(common, builder, build_limits)
        stack.push_async_callback(builds.close)
        sessions = Keeper(store, engine, settings)
        stack.push_async_callback(sessions.close)
        if settings.engine == "kubernetes" and settings.preload_disk_bytes:
            preloader = chosen_preloader(settings, store, common.paths.instance)
            loops.run("preload", (await stack.enter_async_context(preloader)).step, always_rests=True)
        # Before what they began, the loops that begin it.
        stack.push_async_callback(loops.stop)
        rebuilder = Rebuilder(store, builder.again, common.paths, build_limits, secrets=builder.host.secrets)
        collector = Collector(
            store, builder.buildah, builder.account, policy_of(settings), has_registry=bool(settings.registry)
        )
        loops.run("builds", builds.step)
        loops.run("environments", rebuilder.step)
        loops.run("garbage", collector.step)
        loops.run("starts", sessions.start_wanted)
        loops.run("sessions", sessions.step, always_rests=True)
        for name, step in common.github.loops().items():
            loops.run(name, step, store.arrived if name == "deliveries" else None)
        yield


async def end_sessions(engine: Engine) -> None:
    """End all sessions of this service."""
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
