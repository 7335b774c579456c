"""What a command has done that finds no service at work on this machine: the same loops, while the command runs.

With no GitHub: it is told nothing, and nothing is taken from it. What was begun stays in the store for whoever comes
next.
"""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from binder.cgroups import limits_for, read_cgroup_facts
from binder.figures import Figures
from binder.paths import Paths
from binder.process import find_account
from binder.service.common import Common
from binder.service.controller import working_controller
from binder.service.engines import chosen_builder
from binder.service.folders import alone_in, make_folders, open_lock, try_lock
from binder.service.github import GitHubSide
from binder.service.loops import Loops
from binder.service.machine import check_machine, needs_of
from binder.service.proxy_part import running_proxy
from binder.service.views import Views
from binder.settings import Settings
from binder.store import Store
from deploy.engine import Engine
from deploy.podman import PodmanEngine


def is_served(settings: Settings) -> bool:
    """Whether a service works on the store of these settings, as far as can be seen from here.

    A database is shared by those who serve it; what keeps its state on this machine is alone with it.
    """
    if settings.database_url:
        return True
    state = settings.state_dir
    if not (state / "lock").exists():
        return False
    with open_lock(state / "lock") as descriptor:
        return not try_lock(descriptor)


@asynccontextmanager
async def working_alone(settings: Settings, store: Store, views: Views, *, serves: bool) -> AsyncIterator[Loops]:
    """Have what the store asks for made so while the block runs; with `serves`, sessions can be opened too.

    Raises: OperatorFault, where this machine or its settings do not allow it, or a service runs here.
    """
    account = find_account(settings.build_account)
    check_machine(account, settings, needs_of("all", settings.engine, builds_here=not settings.builds_namespace))
    paths = Paths(settings.state_dir, settings.cache_dir)
    async with contextlib.AsyncExitStack() as stack:
        make_folders(paths, account)
        stack.enter_context(alone_in(paths.state))
        builder = await stack.enter_async_context(chosen_builder(settings, paths, account, store))
        figures = Figures()
        github = stack.enter_context(contextlib.closing(GitHubSide(store, settings, figures, tells=False)))
        common = Common(settings, paths, account, store, github, figures, views)
        loops = Loops(store.changed)
        if serves:
            of_proxy = await stack.enter_async_context(running_proxy(common, builder.git))
            loops.add("proxy", of_proxy.broken())
        limits = limits_for(read_cgroup_facts())
        await stack.enter_async_context(working_controller(common, builder, limits, loops, ephemeral=False))
        stack.push_async_callback(loops.stop)
        yield loops


@asynccontextmanager
async def engine_alone(settings: Settings, store: Store) -> AsyncIterator[Engine]:
    """Give the engine of these settings, to be looked at, and to have what nobody else will remove removed.

    Raises: OperatorFault, where there is no cluster.
    """
    if settings.engine == "podman":
        paths = Paths(settings.state_dir, settings.cache_dir)
        yield PodmanEngine(paths, find_account(settings.build_account), limits_for(read_cgroup_facts()))
        return
    # Who has no cluster does not wait two seconds for its client.
    from binder.cluster import cluster_connection  # noqa: PLC0415
    from deploy.kubernetes import kubernetes_engine  # noqa: PLC0415
    from deploy.placement import placement_of  # noqa: PLC0415

    where = {"namespace": settings.namespace, "instance": await store.instance()}
    async with (
        cluster_connection() as connection,
        kubernetes_engine(connection, placement=placement_of(settings), **where) as engine,
    ):
        yield engine
