"""Sessions as Pods of a Kubernetes cluster.

Owns the Pods of one service (`instance`) in one namespace. The API server keeps the truth about them: nothing here is
remembered between two calls. Where a Pod runs is the scheduler's choice; what its state means is `deploy.pods`'.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from aiohttp import ClientError
from kubernetes.aio.client import ApiClient, ApiException, CoreV1Api, NetworkingV1Api
from kubernetes.aio.watch import Watch

from binder.cluster import (
    APPLY,
    CREATED,
    REFUSALS,
    REQUEST_SECONDS,
    cluster_faults,
    fault_of,
    missing_is_fine,
    read_answer,
)
from binder.errors import OperatorFault, WorldFault
from binder.names import is_session_id
from deploy.engine import Running, SessionSpec
from deploy.manifests import cluster_manifest, network_manifest, pod_name, secret_manifest
from deploy.pods import GONE, Pod, has_node, has_started, running_of, waits_for
from templates import Json

_ATTEMPTS = 3
_PLACE_SECONDS = 60.0
_START_SECONDS = 600.0
_WATCH_SECONDS = 60
_PAUSE_SECONDS = 1.0
_LOG_LINES = 40
_LONGEST_LOG = 4000
# Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
_LABELS_ALONE = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class KubernetesEngine:
    """Runs sessions in `namespace`, whose Pod Security may be "restricted". `connection` is its owner's to close."""

    def __init__(self, connection: ApiClient, *, namespace: str, instance: str) -> None:
        self.instance = instance
        self.namespace = namespace
        self.connection = connection
        self._core = CoreV1Api(connection)

    async def close_network(self, proxies: Sequence[Json]) -> None:
        """Keep sessions from all but the internet, and all but `proxies` (NetworkPolicyPeers) from sessions.

        Raises: OperatorFault; WorldFault.
        """
        manifest: Any = network_manifest(self.instance, proxies)
        with cluster_faults():
            await NetworkingV1Api(self.connection).patch_namespaced_network_policy(
                manifest["metadata"]["name"], self.namespace, manifest, **APPLY
            )

    async def start(self, spec: SessionSpec) -> str:
        """Start a session's pod and return its target.

        Raises: OperatorFault; WorldFault; then nothing of it is left.
        """
        try:
            await self._apply(spec)
            return await self._started(spec.id)
        except BaseException:
            await self.stop(spec.id)
            raise

    async def _apply(self, spec: SessionSpec) -> None:
        """Create a session's Secret and the pod that it owns, in place of what an earlier start left.

        Neither can be used again: a Pod is started once, and what it was started with is not known any more.
        """
        name = pod_name(self.instance, spec.id)
        for _ in range(_ATTEMPTS):
            with cluster_faults():
                secret: Any = secret_manifest(spec, instance=self.instance)
                made = self._core.patch_namespaced_secret_without_preload_content(name, self.namespace, secret, **APPLY)
                status, owner = await read_answer(await made)
                if status == CREATED:
                    pod: Any = cluster_manifest(spec, instance=self.instance, owner_uid=owner["metadata"]["uid"])
                    made = self._core.patch_namespaced_pod_without_preload_content(name, self.namespace, pod, **APPLY)
                    status, _ = await read_answer(await made)
            if status == CREATED:
                return
            await self.stop(spec.id)
        raise WorldFault("Somebody else starts this session at the same time.")

    async def _started(self, session_id: str) -> str:
        """Wait until a pod's server was started, for a node first and then for the image, and return its target."""
        waits, placed = "", False
        try:
            async with asyncio.timeout(_PLACE_SECONDS) as limit, aclosing(self._changes(session_id)) as changes:
                async for pod in changes:
                    waits = waits_for(pod)
                    if has_node(pod) and not placed:
                        placed = True
                        limit.reschedule(asyncio.get_running_loop().time() + _START_SECONDS)
                    running = running_of(pod)
                    if has_started(pod) and running.target:
                        return running.target
                    if not running.alive:
                        raise OperatorFault(f"The cluster did not start the session. {running.reason} {waits}".rstrip())
        except TimeoutError as error:
            raise OperatorFault(f"The cluster did not start the session in time. {waits}".rstrip()) from error
        raise AssertionError("a watch goes on until it is left")

    async def _changes(self, session_id: str) -> AsyncGenerator[Pod]:
        """Give a pod as it is, and then as it changes, without end: a watch that breaks off is begun anew.

        Raises: OperatorFault, where it is taken away; or may not be seen.
        """
        one = f"metadata.name={pod_name(self.instance, session_id)}"
        listing = self._core.list_namespaced_pod
        while True:
            watch: Any = Watch()  # type: ignore[no-untyped-call]
            try:
                events = watch.stream(listing, self.namespace, field_selector=one, timeout_seconds=_WATCH_SECONDS)
                async for event in events:
                    if event["type"] == "DELETED":
                        raise OperatorFault("The cluster took the session away while it started.")
                    yield event["raw_object"]
            except (ClientError, TimeoutError):
                pass  # nobody answers, for now
            except ApiException as error:
                if error.status in REFUSALS:
                    raise fault_of(error) from error
            finally:
                await watch.close()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def stop(self, session_id: str) -> None:
        """Remove a session's Secret, and with it all that it owns: the cluster sees to that, whoever dies meanwhile.

        Its pod goes at once, and whatever its node says: somebody may wait for its place, and a node that is lost says
        nothing.

        Raises: OperatorFault; WorldFault.
        """
        name = pod_name(self.instance, session_id)
        at_once: Any = {"propagation_policy": "Background", "_request_timeout": REQUEST_SECONDS}
        with cluster_faults():
            with missing_is_fine():
                await self._core.delete_namespaced_secret(name, self.namespace, **at_once)
            with missing_is_fine():
                await self._core.delete_namespaced_pod(name, self.namespace, grace_period_seconds=0, **at_once)

    async def running(self) -> Mapping[str, Running]:
        """Return our sessions: id → what it is at.

        Raises: OperatorFault; WorldFault.
        """
        with cluster_faults():
            secrets, pods = await asyncio.gather(
                self._listed(self._core.list_namespaced_secret_without_preload_content),
                self._listed(self._core.list_namespaced_pod_without_preload_content),
            )
        # Whoever died between two steps of a start left no more than a Secret, and so did who took a pod away.
        begun = dict.fromkeys(map(_session_of, secrets), GONE)
        found = begun | {_session_of(pod): running_of(pod) for pod in pods}
        return {session_id: running for session_id, running in found.items() if is_session_id(session_id)}

    async def _listed(self, listing: Callable[..., Any]) -> list[Pod]:
        answer = await listing(
            self.namespace,
            label_selector=f"binder.instance={self.instance}",
            _headers={"Accept": _LABELS_ALONE} if "secret" in listing.__name__ else None,
            _request_timeout=REQUEST_SECONDS,
        )
        _, found = await read_answer(answer)
        items: list[Pod] = found["items"] or []  # of none, some lists have a null
        return items

    async def log_of(self, session_id: str) -> str:
        """Return the last lines of a session's notebook server."""
        name = pod_name(self.instance, session_id)
        with suppress(ApiException, ClientError, TimeoutError):
            log: Any = await self._core.read_namespaced_pod_log(
                name, self.namespace, tail_lines=_LOG_LINES, _request_timeout=REQUEST_SECONDS
            )
            return str(log)[-_LONGEST_LOG:]
        return ""


def _session_of(known: Pod) -> str:
    return str(known["metadata"]["labels"].get("binder.session"))
