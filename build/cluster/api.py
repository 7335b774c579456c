"""What is asked of the API server about builds: one Job for each, with a Secret that goes with it, and its pod.

Owns the requests. What is made of the answers is `build.cluster.pods`'; when something is asked, and for how long,
`build.cluster.jobs`'.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from aiohttp import ClientError, ClientResponse, ClientTimeout
from kubernetes.aio.client import (
    ApiClient,
    ApiException,
    BatchV1Api,
    CoreV1Api,
    NetworkingV1Api,
    V1DeleteOptions,
    V1Preconditions,
)

from binder.cluster import APPLY, MISSING, REQUEST_SECONDS, cluster_faults, missing_is_fine, read_answer
from build.cluster.lines import HEARTBEAT_SECONDS
from build.cluster.manifests import Builders, job_manifest, network_manifest, secret_manifest
from build.cluster.nodes import affinity_for
from build.cluster.order import Order, order_bytes
from build.cluster.pods import Look, Object, is_at_work, is_built_on, look_at, taken_away

QUIET_SECONDS = 3 * HEARTBEAT_SECONDS
"""After so long without a line, a log is read anew."""

_CONFLICT = 409
_POLL_SECONDS = 0.25
_REMOVAL_SECONDS = 60.0
_REQUEST: Any = {"_request_timeout": REQUEST_SECONDS}
_FOLLOWING = ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=QUIET_SECONDS)
_LONGEST = 300


class BuildsApi:
    """The Jobs of one service (`instance`) in one namespace. `connection` is its owner's to close.

    Its methods raise OperatorFault and WorldFault.
    """

    def __init__(self, connection: ApiClient, builders: Builders, *, namespace: str, instance: str) -> None:
        self._connection = connection
        self._builders = builders
        self._namespace = namespace
        self._instance = instance
        self._core = CoreV1Api(connection)
        self._batch = BatchV1Api(connection)

    async def close_network(self, reached: Sequence[str]) -> None:
        """Keep builds from all but the internet and what is `reached` (networks, namespaces), and all from builds."""
        manifest: Any = network_manifest(self._instance, reached)
        with cluster_faults():
            await NetworkingV1Api(self._connection).patch_namespaced_network_policy(
                manifest["metadata"]["name"], self._namespace, manifest, **APPLY
            )

    async def make_job(self, order: Order) -> str:
        """Make the Job of a build, in place of one that is left of it, and return its uid."""
        await self._end_earlier(order.name)
        source = order.source
        affinity = affinity_for(source.url, await self._nodes())
        build = order.name.rpartition("-")[2]
        manifest: Any = job_manifest(
            self._builders,
            name=order.name,
            secret=order.secret,
            instance=self._instance,
            build=build,
            trusted=source.trusted,
            affinity=affinity,
        )
        making = self._batch.create_namespaced_job_without_preload_content
        with cluster_faults():
            job = await _json(making(self._namespace, manifest, **_REQUEST))
        return _uid_of(job)

    async def make_secret(self, order: Order, uid: str) -> None:
        """Make the Secret with the order of a Job, whose pod waits for it."""
        manifest: Any = secret_manifest(
            order_bytes(order), name=order.secret, instance=self._instance, job=order.name, job_uid=uid
        )
        making = self._core.create_namespaced_secret_without_preload_content
        with cluster_faults():
            await _json(making(self._namespace, manifest, **_REQUEST))

    async def end(self, order: Order, uid: str) -> None:
        """End a build: its Job and its Secret are gone after it, and its pod is not at work any more.

        Another Job that has taken the name is let be.
        """
        with cluster_faults():
            with missing_is_fine():
                await self._core.delete_namespaced_secret(order.secret, self._namespace, **_REQUEST)
            await self._end_job(order.name, uid)

    async def look(self, name: str, uid: str) -> Look:
        """Return what a build is at."""
        with cluster_faults():
            job = await self._job_of(name)
            if job is None or _uid_of(job) != uid:
                return Look("ended", fault=taken_away())
            look = look_at(await self._pods(uid), job, self._builders)
            return Look(look.stage, waits=await self._warning_of(name)) if look.stage == "unmade" else look

    async def log_of(self, pod: str) -> ClientResponse:
        """Return the log of a builder, from its beginning, as it grows; the caller closes it.

        Raises: ClientError; TimeoutError.
        """
        request: Any = self._connection.param_serialize(
            "GET",
            f"/api/v1/namespaces/{self._namespace}/pods/{pod}/log",
            query_params=[("container", "build"), ("follow", "true")],
            auth_settings=["BearerToken"],
        )
        call: Any = self._connection.call_api
        # The typed client would take one limit for all of it.
        response: ClientResponse = (await call(*await request, _request_timeout=_FOLLOWING)).response
        return response

    async def _end_earlier(self, name: str) -> None:
        """End the Job of that name, if there is one; its Secret goes with it by and by."""
        with cluster_faults():
            if job := await self._job_of(name):
                await self._end_job(name, _uid_of(job))

    async def _nodes(self) -> list[str]:
        """Return the nodes among which a repository has one of its own; none, where that makes no difference."""
        if not self._builders.are_sticky:
            return []
        selector = ",".join(f"{key}={value}" for key, value in self._builders.node_selector.items())
        with cluster_faults():
            found = await _json(self._core.list_node_without_preload_content(label_selector=selector, **_REQUEST))
        return [node["metadata"]["name"] for node in found["items"] if is_built_on(node)]

    async def _job_of(self, name: str) -> Object | None:
        """Return the Job of that name, or None where there is none."""
        reading = self._batch.read_namespaced_job_without_preload_content
        try:
            job: Object = await _json(reading(name, self._namespace, **_REQUEST))
        except ApiException as error:
            if error.status != MISSING:
                raise
            return None
        return job

    async def _end_job(self, name: str, uid: str) -> None:
        options = V1DeleteOptions(propagation_policy="Background", preconditions=V1Preconditions(uid=uid))
        try:
            await self._batch.delete_namespaced_job(name, self._namespace, body=options, **_REQUEST)
        except ApiException as error:
            if error.status not in {MISSING, _CONFLICT}:  # somebody else was faster
                raise
        await self._end_pods(uid)

    async def _end_pods(self, uid: str) -> None:
        """Delete the pods of a Job, and wait until nothing runs in them; what a node says nothing of is let go of."""
        until, grace_seconds = monotonic() + _REMOVAL_SECONDS, None
        while at_work := [pod for pod in await self._pods(uid) if is_at_work(pod)]:
            if monotonic() > until:
                grace_seconds = 0
            for pod in at_work:
                if not pod["metadata"].get("deletionTimestamp") or grace_seconds == 0:
                    await self._delete_pod(pod["metadata"]["name"], grace_seconds)
            if grace_seconds == 0:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _delete_pod(self, name: str, grace_seconds: int | None) -> None:
        with missing_is_fine():
            await self._core.delete_namespaced_pod(
                name, self._namespace, grace_period_seconds=grace_seconds, **_REQUEST
            )

    async def _pods(self, uid: str) -> Sequence[Object]:
        of_job = f"batch.kubernetes.io/controller-uid={uid}"
        listing = self._core.list_namespaced_pod_without_preload_content
        found = await _json(listing(self._namespace, label_selector=of_job, **_REQUEST))
        pods: Sequence[Object] = found["items"]
        return pods

    async def _warning_of(self, name: str) -> str:
        """Return what the cluster says of a Job of which it makes no pod: of a quota, a rule for pods."""
        of_job = f"involvedObject.kind=Job,involvedObject.name={name},type=Warning"
        listing = self._core.list_namespaced_event_without_preload_content
        with suppress(ApiException, ClientError, TimeoutError):
            found = await _json(listing(self._namespace, field_selector=of_job, **_REQUEST))
            return str(found["items"][-1].get("message", ""))[:_LONGEST] if found["items"] else ""
        return ""


def _uid_of(known: Object) -> str:
    return str(known["metadata"]["uid"])


async def _json(asking: Awaitable[Any]) -> Any:
    _, found = await read_answer(await asking)
    return found
