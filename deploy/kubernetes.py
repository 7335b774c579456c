"""Sessions as Pods of a Kubernetes cluster.

Owns the objects of one service (`instance`) in one namespace. The API server keeps the truth about them; what it says
is known here by watches, which run while the engine is open: `async with kubernetes_engine(…)`. Where a Pod runs is the
scheduler's choice; what its state means is `deploy.pods`', and how a watch is kept up `binder.cluster_watch`'s.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from aiohttp import ClientError
from kubernetes.aio.client import ApiClient, ApiException, CoreV1Api, NetworkingV1Api

from binder.cluster import APPLY, CREATED, REQUEST_SECONDS, cluster_faults, missing_is_fine, read_answer
from binder.cluster_watch import ClusterWatch, Object
from binder.errors import OperatorFault, WorldFault
from binder.names import is_session_id
from deploy.engine import Running, SessionSpec
from deploy.kubernetes_services import ClusterServices, check_seed_in_time
from deploy.manifests import cluster_manifest, network_manifest, pod_name, secret_manifest
from deploy.placement import ANYWHERE, Placement
from deploy.pod_services import service_of
from deploy.pods import GONE, Seen, last_of, seen, session_of
from deploy.reasons import why_refused

_ATTEMPTS = 3
_PLACE_SECONDS = 60.0
_START_SECONDS = 600.0
_LOG_LINES = 40
_LONGEST_LOG = 4000
_AT_ONCE: Any = {"grace_period_seconds": 0, "propagation_policy": "Background", "_request_timeout": REQUEST_SECONDS}


class KubernetesEngine:
    """Runs sessions in `namespace`, whose Pod Security may be "restricted". `connection` is its owner's to close."""

    def __init__(
        self, connection: ApiClient, *, namespace: str, instance: str, placement: Placement = ANYWHERE
    ) -> None:
        self.instance = instance
        self.namespace = namespace
        self.connection = connection
        self._placement = placement
        self._last_words: dict[str, Running] = {}
        self._core = CoreV1Api(connection)
        path, ours = f"/api/v1/namespaces/{namespace}", f"binder.instance={instance}"
        self._pods = ClusterWatch(connection, f"{path}/pods", seen, selector=ours, taken=self._bury)
        self._services = ClusterServices(connection, namespace=namespace, placement=placement, pods=self._pods)
        self._secrets = ClusterWatch(connection, f"{path}/secrets", session_of, selector=ours, only_metadata=True)

    async def watch(self) -> None:
        """Keep to what the cluster says, until it is cancelled: all else here relies on it."""
        async with asyncio.TaskGroup() as watches:
            for watch in (self._pods, self._secrets):
                watches.create_task(watch.run())

    async def close_network(self, proxies: Sequence[str]) -> None:
        """Keep sessions from all but the internet, and all but `proxies` (networks and namespaces) from sessions.

        Raises: OperatorFault; WorldFault.
        """
        manifest: Any = network_manifest(self.instance, proxies)
        with cluster_faults():
            await NetworkingV1Api(self.connection).patch_namespaced_network_policy(
                manifest["metadata"]["name"], self.namespace, manifest, **APPLY
            )

    async def start(self, spec: SessionSpec) -> str:
        """Start a session's pod and return its target, once its services can be used and its seeds are done.

        Raises: RepositoryFault, where a service does not come up or a seed fails; OperatorFault; WorldFault; then
        nothing of it is left.
        """
        try:
            return await self._start(spec)
        except BaseException:
            await self.stop(spec.id)
            raise

    async def _start(self, spec: SessionSpec) -> str:
        """Start a session's pod, and another one where it is taken away meanwhile, as with its node."""
        taken = GONE
        for _ in range(_ATTEMPTS):
            await self._apply(spec)
            found = await self._started(spec)
            if not isinstance(found, Running):
                return found
            taken = found
        raise _not_started(taken.reason)

    async def _apply(self, spec: SessionSpec) -> None:
        """Create a session's Secret and the pod that it owns, in place of what an earlier start left.

        Neither can be used again: a Pod is started once, and what it was started with is not known any more.
        """
        name = pod_name(self.instance, spec.id)
        self._last_words.pop(spec.id, None)
        if name in self._pods or name in self._secrets:
            await self.stop(spec.id)
        for _ in range(_ATTEMPTS):
            secret = secret_manifest(spec, instance=self.instance)
            owner, is_new = await self._make(self._core.patch_namespaced_secret_without_preload_content, secret)
            self._secrets.made(owner)
            if is_new:
                await self._services.bring_up(spec, owner)
                uid, placement = owner["metadata"]["uid"], self._placement
                manifest = cluster_manifest(spec, instance=self.instance, owner_uid=uid, placement=placement)
                try:
                    pod, is_new = await self._make(self._core.patch_namespaced_pod_without_preload_content, manifest)
                except OperatorFault as fault:
                    raise OperatorFault(why_refused(fault.message)) from fault
                self._pods.made(pod)
            if is_new:
                return
            await self.stop(spec.id)
        raise WorldFault("Somebody else starts this session at the same time.")

    async def _make(self, apply: Callable[..., Any], manifest: Any) -> tuple[Any, bool]:
        """Apply a manifest; give what it became, and whether it is new."""
        with cluster_faults():
            answer = await apply(manifest["metadata"]["name"], self.namespace, manifest, **APPLY)
            status, made = await read_answer(answer)
        return made, status == CREATED

    async def _started(self, spec: SessionSpec) -> str | Running:
        """Wait until a pod's server was started: for a node first, then for images, services, and each seed.

        Return its target; or what it is at, where it was taken away through no fault of its own.
        """
        name, last, phase = pod_name(self.instance, spec.id), None, ""
        try:
            async with asyncio.timeout(_PLACE_SECONDS) as limit, aclosing(self._pods.changes(name)) as changes:
                async for pod in changes:
                    if pod is None:
                        return self._last_words.get(spec.id, GONE)
                    if pod.running.taken:
                        return pod.running
                    last = pod
                    await self._services.check(spec, pod)
                    now_at = pod.seed.container if pod.seed else "start"
                    if pod.has_node and now_at != phase:
                        phase, seconds = now_at, spec.seed_seconds if pod.seed else _START_SECONDS
                        limit.reschedule(asyncio.get_running_loop().time() + seconds)
                    if pod.has_started and pod.running.target:
                        return pod.running.target
                    if not pod.running.alive:
                        raise _not_started(pod.running.reason) from _said_of(pod)
        except TimeoutError as error:
            self._pods.check()
            check_seed_in_time(spec, last)
            raise _not_started((last and last.why) or "It takes too long.") from (_said_of(last) or error)
        raise AssertionError("changes come without end")

    async def stop(self, session_id: str) -> None:
        """Remove a session's Secret, and with it all that it owns: the cluster sees to that, whoever dies meanwhile.

        Its pod goes at once, and whatever its node says: somebody may wait for its place, and a node that is lost says
        nothing.

        Raises: OperatorFault; WorldFault.
        """
        await asyncio.gather(
            self._remove(self._core.delete_namespaced_secret_without_preload_content, self._secrets, session_id),
            self._remove(self._core.delete_namespaced_pod_without_preload_content, self._pods, session_id),
        )

    async def _remove(self, delete: Callable[..., Any], watch: ClusterWatch[Any], session_id: str) -> None:
        name = pod_name(self.instance, session_id)
        known = watch.uid_of(name)
        with cluster_faults(), missing_is_fine():
            answer = await delete(name, self.namespace, **_AT_ONCE)
            _, gone = await read_answer(answer)
            # A Status tells what it is about, an object is itself.
            known = gone.get("details", gone["metadata"]).get("uid", known)
        if known:
            watch.removed(name, known)

    async def running(self) -> Mapping[str, Running]:
        """Return our sessions: id → what it is at.

        Raises: OperatorFault; WorldFault.
        """
        secrets = set((await self._secrets.known()).values())
        # Whoever died between two steps of a start left no more than a Secret, and so did who took a pod away.
        self._last_words = {one: last for one, last in self._last_words.items() if one in secrets}
        found = {one: self._last_words.get(one, GONE) for one in secrets}
        pods = (await self._pods.known()).values()
        found |= {pod.session_id: pod.running for pod in pods if not pod.service}
        for pod in pods:
            if pod.service and pod.session_id in found:
                known = found[pod.session_id]
                found[pod.session_id] = replace(known, services={**known.services, **pod.running.services})
        return {session_id: running for session_id, running in found.items() if is_session_id(session_id)}

    def _bury(self, pod: Object) -> None:
        """Remember why a pod was taken away that we did not remove: it is told until the session is stopped."""
        if service_of(pod):
            return  # another one takes its place
        self._last_words[session_of(pod)] = last_of(pod)

    async def log_of(self, session_id: str, service: str = "") -> str:
        """Return the last lines of a session's notebook server, or of a service of it."""
        if service:
            return await self._services.log_of(session_id, service)
        name = pod_name(self.instance, session_id)
        with suppress(ApiException, ClientError, TimeoutError):
            log: Any = await self._core.read_namespaced_pod_log(
                name, self.namespace, container="notebook", tail_lines=_LOG_LINES, _request_timeout=REQUEST_SECONDS
            )
            return str(log)[-_LONGEST_LOG:]
        return ""


def _not_started(reason: str | None) -> OperatorFault:
    return OperatorFault(f"The cluster did not start the session. {reason or GONE.reason}")


def _said_of(pod: Seen | None) -> OperatorFault | None:
    """Return what the cluster itself says of a pod: the operator's log has it as the cause."""
    return OperatorFault(pod.waits_for) if pod and pod.waits_for else None


@asynccontextmanager
async def kubernetes_engine(
    connection: ApiClient, *, namespace: str, instance: str, placement: Placement = ANYWHERE
) -> AsyncIterator[KubernetesEngine]:
    """Give an engine that knows what the cluster says, as long as the block runs."""
    engine = KubernetesEngine(connection, namespace=namespace, instance=instance, placement=placement)
    watching = asyncio.create_task(engine.watch(), name="cluster-watch")
    try:
        yield engine
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
