"""Kubernetes as a place in which services of sessions are tried."""

import asyncio

from deploy.engine import Engine
from deploy.kubernetes import KubernetesEngine
from deploy.manifests import pod_name
from tests.cluster.given import Cluster, Namespace


class OnKubernetes:
    """The engine, and how its containers are reached from outside."""

    def __init__(self, engine: KubernetesEngine, waits: str, cluster: Cluster) -> None:
        self.engine: Engine = engine
        self.waits = waits
        self._on_cluster = engine
        self._cluster = cluster

    async def run(self, session_id: str, container: str, *argv: str) -> str:
        """Run a command in a container of a session's own pod, and return what it printed."""
        namespace = Namespace(self._cluster, self._on_cluster.namespace)
        pod = namespace.known(pod_name(self._on_cluster.instance, session_id))
        return await asyncio.to_thread(pod.execute, *argv, container=container)

    async def end_service(self, session_id: str) -> None:
        """Have the service of a session end."""
        await self.run(session_id, "store-server", "touch", "/data/end")
