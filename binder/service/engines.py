"""Where sessions run, and where builds do: the one place where that is chosen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from binder.cgroups import Limits
from binder.paths import Paths
from binder.process import Account
from binder.service.builder import Builder, running_builder
from binder.service.common import Common
from binder.settings import Settings
from binder.store import Store
from deploy.engine import Engine
from deploy.placement import placement_of
from deploy.podman import PodmanEngine

if TYPE_CHECKING:
    from deploy.preloader import Preloader


@asynccontextmanager
async def chosen_engine(common: Common, limits: Limits) -> AsyncIterator[Engine]:
    """Give the engine that the settings name; `limits` are what this machine can set, for sessions that run on it.

    Raises: OperatorFault, where there is no cluster.
    """
    if common.settings.engine == "podman":
        on_this_machine = PodmanEngine(common.paths, common.account, limits)
        try:
            yield on_this_machine
        finally:
            await on_this_machine.close()
        return
    # Who has no cluster does not wait two seconds for its client.
    from binder.cluster import cluster_connection, own_namespace  # noqa: PLC0415
    from deploy.kubernetes import kubernetes_engine  # noqa: PLC0415

    settings, instance = common.settings, await common.store.instance()
    placement = placement_of(settings)
    async with (
        cluster_connection() as connection,
        kubernetes_engine(connection, namespace=settings.namespace, instance=instance, placement=placement) as engine,
    ):
        ours = own_namespace()
        await engine.close_network([*([ours] if ours else []), *settings.session_proxies])
        yield engine


@asynccontextmanager
async def chosen_preloader(settings: Settings, store: Store) -> AsyncIterator["Preloader"]:
    """Give what brings images to the nodes of the cluster that the settings name.

    Raises: OperatorFault, where there is none; WorldFault.
    """
    from binder.cluster import cluster_connection  # noqa: PLC0415
    from deploy.preloader import Preloader, opened_preloader  # noqa: PLC0415

    placement = placement_of(settings)
    async with cluster_connection() as connection:
        where = {"namespace": settings.namespace, "instance": await store.instance()}
        async with opened_preloader(Preloader(connection, store, settings, placement=placement, **where)) as preloader:
            yield preloader


@asynccontextmanager
async def chosen_builder(settings: Settings, paths: Paths, account: Account, store: Store) -> AsyncIterator[Builder]:
    """Give what builds are made with: here, or on the cluster that the settings name.

    Raises: OperatorFault; WorldFault.
    """
    if not settings.builds_namespace:
        async with running_builder(settings, paths, account) as builder:
            yield builder
        return
    from binder.cluster import cluster_connection  # noqa: PLC0415
    from binder.service.cluster_builder import cluster_builder  # noqa: PLC0415

    instance = await store.instance()
    async with (
        cluster_connection() as connection,
        cluster_builder(settings, paths, account, connection, instance=instance) as builder,
    ):
        yield builder
