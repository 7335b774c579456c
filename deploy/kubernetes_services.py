"""The services of sessions on a cluster: those with pods of their own are made here, and all are waited for.

What becomes of them is the cluster's to see to: a kubelet starts again what ends, a Deployment what is lost with its
node. All go with the session's Secret, which owns them.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import ClientError
from kubernetes.aio.client import ApiClient, ApiException, AppsV1Api, CoreV1Api, NetworkingV1Api

from binder.cluster import APPLY, CREATED, REQUEST_SECONDS, cluster_faults, missing_is_fine, read_answer
from binder.cluster_watch import ClusterWatch
from binder.errors import OperatorFault, WorldFault
from deploy.engine import SessionSpec
from deploy.placement import Placement, pod_fields
from deploy.pod_services import fault_of
from deploy.pods import Seen
from deploy.reasons import why_refused
from deploy.service_manifests import MEETING, apart_manifests, seed_of, workload_name
from deploy.service_words import failed_seed, not_reached, slow_seed

_POLL_SECONDS = 0.3
_AGAIN_SECONDS = 0.5
_ATTEMPTS = 20
_PLACE_SECONDS = 60.0
_START_SECONDS = 600.0
_LOG_LINES = 40
_LONGEST_LOG = 4000
_AWAY: Any = {"grace_period_seconds": 0, "propagation_policy": "Background", "_request_timeout": REQUEST_SECONDS}


class ClusterServices:
    """Services of sessions in one namespace; `pods` is all that is known of pods there."""

    def __init__(
        self, connection: ApiClient, *, namespace: str, placement: Placement, pods: ClusterWatch[Seen]
    ) -> None:
        self._namespace = namespace
        self._placement = placement
        self._pods = pods
        self._core = CoreV1Api(connection)
        self._apps, networking = AppsV1Api(connection), NetworkingV1Api(connection)
        self._calls: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
            "Deployment": (
                self._apps.patch_namespaced_deployment_without_preload_content,
                self._apps.delete_namespaced_deployment_without_preload_content,
            ),
            "Service": (
                self._core.patch_namespaced_service_without_preload_content,
                self._core.delete_namespaced_service_without_preload_content,
            ),
            "NetworkPolicy": (
                networking.patch_namespaced_network_policy_without_preload_content,
                networking.delete_namespaced_network_policy_without_preload_content,
            ),
        }

    async def bring_up(self, spec: SessionSpec, secret: Any) -> None:
        """Make the workloads of services that have pods of their own, and wait until they can be used.

        Raises: RepositoryFault, with the last lines of what does not come up; OperatorFault; WorldFault.
        """
        fields = pod_fields(self._placement, 0)
        manifests = apart_manifests(spec.services, spec.image, secret, fields, self._placement)
        if not manifests:
            return
        # Names and the policy are there before anybody asks for them.
        workloads = [one for one in manifests if one["kind"] == "Deployment"]
        for some in ([one for one in manifests if one["kind"] != "Deployment"], workloads):
            await asyncio.gather(*map(self._make_anew, some))
        await self._until_ready(spec, secret)

    async def _make_anew(self, manifest: Any) -> None:
        """Make an object that is not there; what an earlier start of the session left has yet to go."""
        name, (apply, delete) = manifest["metadata"]["name"], self._calls[manifest["kind"]]
        for _ in range(_ATTEMPTS):
            try:
                with cluster_faults():
                    status, _ = await read_answer(await apply(name, self._namespace, manifest, **APPLY))
            except OperatorFault as fault:
                raise OperatorFault(why_refused(fault.message)) from fault
            if status == CREATED:
                return
            with cluster_faults(), missing_is_fine():
                await read_answer(await delete(name, self._namespace, **_AWAY))
            await asyncio.sleep(_AGAIN_SECONDS)
        raise WorldFault("What was left of this session does not go.")

    async def _until_ready(self, spec: SessionSpec, secret: Any) -> None:
        began = time.monotonic()
        waiting = {one.name: one for one in spec.services.services if one.apart}
        while waiting:
            known, uid = (await self._pods.known()).values(), secret["metadata"]["uid"]
            pods = {pod.service: pod for pod in known if pod.owner == uid}
            for name, one in list(waiting.items()):
                pod = pods.get(name)
                if pod:
                    await self.check(spec, pod)
                if pod and name in pod.services and pod.services[name].state.ready:
                    del waiting[name]
                elif time.monotonic() - began > (_START_SECONDS if pod and pod.has_node else _PLACE_SECONDS):
                    why = pod.why if pod else await self._why_no_pod(secret, name)
                    raise OperatorFault(f"The cluster did not start {one.title}. {why or 'It takes too long.'}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _why_no_pod(self, secret: Any, name: str) -> str:
        """Return why the workload of a service has no pod, from what the cluster says of it."""
        workload = workload_name(secret["metadata"]["name"], name)
        with suppress(ApiException, ClientError, TimeoutError):
            call = self._apps.read_namespaced_deployment_without_preload_content
            _, known = await read_answer(await call(workload, self._namespace, _request_timeout=REQUEST_SECONDS))
            conditions = known.get("status", {}).get("conditions", ())
            failed = [one for one in conditions if one["type"] == "ReplicaFailure" and one["status"] == "True"]
            return why_refused(str(failed[0].get("message", ""))) if failed else ""
        return ""

    async def check(self, spec: SessionSpec, pod: Seen) -> None:
        """See that nothing in a pod of a session has failed that is waited for.

        Raises: RepositoryFault, with the last lines of what has; OperatorFault.
        """
        for one in spec.services.services:
            seen = pod.services.get(one.name)
            if seen and fault_of(one, seen, ""):
                fault = fault_of(one, seen, await self.log_of(spec.id, one.name))
                assert fault  # noqa: S101 - it was one without the log
                raise fault
        if pod.seed and pod.seed.code and pod.seed.container == MEETING:
            raise not_reached(await self.log_of(spec.id, MEETING))
        if pod.seed and pod.seed.code and (seed := seed_of(pod.seed.container, spec.services)):
            title = spec.services.titles.get(seed.module, seed.module)
            raise failed_seed(title, seed.file, pod.seed.code, await self.log_of(spec.id, pod.seed.container))

    async def log_of(self, session_id: str, container: str) -> str:
        """Return the last lines of a container of a session; of a service that is not ready, those of its last run."""
        known = (await self._pods.known()).items()
        # A service has a pod of its name, or is in the notebook's.
        pods = [(name, pod) for name, pod in known if pod.session_id == session_id and pod.service in {container, ""}]
        if not pods:
            return ""
        name, pod = max(pods, key=lambda one: (container in one[1].services, one[1].service))
        is_ready = container in pod.services and pod.services[container].state.ready
        for previous in (False,) if is_ready else (True, False):
            with suppress(ApiException, ClientError, TimeoutError):
                log: Any = await self._core.read_namespaced_pod_log(
                    name,
                    self._namespace,
                    container=container,
                    previous=previous,
                    tail_lines=_LOG_LINES,
                    _request_timeout=REQUEST_SECONDS,
                )
                if log:
                    return str(log)[-_LONGEST_LOG:]
        return ""


def check_seed_in_time(spec: SessionSpec, pod: Seen | None) -> None:
    """See that it was no seed that took too long.

    Raises: RepositoryFault.
    """
    if pod and pod.seed and (seed := seed_of(pod.seed.container, spec.services)):
        title = spec.services.titles.get(seed.module, seed.module)
        raise slow_seed(title, seed.file, spec.seed_seconds)
