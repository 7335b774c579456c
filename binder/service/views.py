"""What operators see of the engine: this machine, or the cluster, and what sessions said there."""

from typing import Any

from binder.errors import OperatorFault
from binder.settings import Settings
from binder.store import Store
from deploy.capacity import machine_capacity
from deploy.engine import Engine


class Views:
    """Looks at the engine of one service; `engine` is there while this process works as its controller."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.engine: Engine | None = None
        self._settings = settings
        self._store = store

    async def nodes(self) -> list[dict[str, Any]] | None:
        """Return what sessions run on; None, where it is a cluster whose nodes we may not look at."""
        if self._settings.engine == "podman":
            return [machine_capacity(self._settings.cache_dir)]
        # Who has no cluster does not wait two seconds for its client.
        from binder.cluster import cluster_connection  # noqa: PLC0415
        from deploy.capacity import cluster_capacity  # noqa: PLC0415

        where = {"namespace": self._settings.namespace, "instance": await self._store.instance()}
        try:
            async with cluster_connection() as connection:
                return [*await cluster_capacity(connection, **where)]
        except OperatorFault:
            return None

    async def log_of(self, session_id: str, service: str = "") -> str:
        """Return the last lines of a session's notebook server, or of a service of it.

        Raises: OperatorFault, where this process has no engine.
        """
        if self.engine is None:
            raise OperatorFault(
                "This part of the service runs no sessions, and so does not see what they say. Run `binder logs` with "
                "the service's settings and without BINDER_URL, or ask the cluster: `kubectl logs`."
            )
        return await self.engine.log_of(session_id, service)
