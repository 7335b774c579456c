"""Where sessions run: the one place where the engine is chosen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from binder.cgroups import Limits
from binder.service.common import Common
from deploy.engine import Engine
from deploy.podman import PodmanEngine


@asynccontextmanager
async def chosen_engine(common: Common, limits: Limits) -> AsyncIterator[Engine]:
    """Give the engine that the settings name; `limits` are what this machine can set, for sessions that run on it.

    Raises: OperatorFault, where there is no cluster.
    """
    if common.settings.engine == "podman":
        yield PodmanEngine(common.paths, common.account, limits)
        return
    # Who has no cluster does not wait two seconds for its client.
    from binder.cluster import cluster_connection  # noqa: PLC0415
    from deploy.kubernetes import kubernetes_engine  # noqa: PLC0415

    namespace, instance = common.settings.namespace, await common.store.instance()
    async with (
        cluster_connection() as connection,
        kubernetes_engine(connection, namespace=namespace, instance=instance) as engine,
    ):
        yield engine
