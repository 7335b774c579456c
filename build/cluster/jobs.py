"""The adapter to the cluster: one Job for each build, with a Secret that goes with it, and what its pod says.

The Job of a build has always the same name: whoever takes a build up again replaces what an earlier attempt, or a
service that died, left running. A Job that nobody waits for ends by its deadline, and is removed after that by itself.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from time import monotonic
from typing import Any

from aiohttp import ClientError, ClientResponse, ClientTimeout
from kubernetes.aio.client import ApiClient, ApiException, BatchV1Api, CoreV1Api, NetworkingV1Api

from binder.cluster import APPLY, FOUND, MISSING, REQUEST_SECONDS, cluster_faults, missing_is_fine
from binder.errors import BinderError, WorldFault
from binder.log import logger
from build.cluster.lines import HEARTBEAT_SECONDS, Event, Failed, Lines, Lives, Made, Said
from build.cluster.lines import fault_of as fault_said
from build.cluster.manifests import Builders, job_manifest, network_manifest, secret_manifest
from build.cluster.nodes import affinity_for
from build.cluster.order import Order, order_bytes
from build.cluster.pods import PATIENCE_SECONDS, Look, Object, impatience, is_built_on, look_at, taken_away, too_long
from build.pipeline import Built

log = logger(__name__)

Heard = Callable[[Event], Awaitable[None]]
"""Is told each event of a build once, in their order."""

_QUIET_SECONDS = 3 * HEARTBEAT_SECONDS
_SILENCE_SECONDS = 9 * HEARTBEAT_SECONDS
_POLL_SECONDS = 0.5
_REMOVAL_SECONDS = 60.0
_SLACK_SECONDS = 60.0
_REQUEST: Any = {"_request_timeout": REQUEST_SECONDS}
_FOLLOWING = ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=_QUIET_SECONDS)


class BuildJobs:
    """Runs builds in `namespace`, as `builders`. `connection` is its owner's to close."""

    def __init__(self, connection: ApiClient, builders: Builders, *, namespace: str, instance: str) -> None:
        self._connection = connection
        self._builders = builders
        self._namespace = namespace
        self._instance = instance
        self._core = CoreV1Api(connection)
        self._batch = BatchV1Api(connection)

    def name_of(self, build: str) -> str:
        """Return the name of a build's Job."""
        return f"binder-{self._instance}-{build}"

    async def close_network(self, reached: Sequence[str]) -> None:
        """Keep builds from all but the internet and what is `reached` (networks and namespaces), and all from builds.

        Raises: OperatorFault; WorldFault.
        """
        manifest: Any = network_manifest(self._instance, reached)
        with cluster_faults():
            await NetworkingV1Api(self._connection).patch_namespaced_network_policy(
                manifest["metadata"]["name"], self._namespace, manifest, **APPLY
            )

    async def run(self, order: Order, heard: Heard) -> Built:
        """Have a build run to its end, and return what it made; nothing of it is left, however this ends.

        Raises: BinderError.
        """
        limit = asyncio.timeout(self._builders.seconds + _SLACK_SECONDS)
        try:
            async with limit, self._job(order):
                return await self._made(order, heard)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise too_long(self._builders) from error

    @asynccontextmanager
    async def _job(self, order: Order) -> AsyncIterator[None]:
        """See that a build's Job runs in the block, and is gone after it."""
        try:
            await self._create(order)
            yield
        finally:
            # Whoever is stopped while it cleans up still does so.
            removing = asyncio.create_task(self._remove_quietly(order.name))
            try:
                await asyncio.shield(removing)
            except asyncio.CancelledError:
                await removing
                raise

    async def _remove_quietly(self, name: str) -> None:
        try:
            await self._remove(name)
        except BinderError as error:
            # It has a deadline, and is removed after it.
            log.warning("build_job_not_removed", job=name, reason=error.message)

    async def _create(self, order: Order) -> None:
        """Start the Job of a build, in place of one that is left of it."""
        await self._remove(order.name)
        source = order.source
        manifest: Any = job_manifest(
            self._builders,
            name=order.name,
            instance=self._instance,
            build=order.name.rpartition("-")[2],
            trusted=source.trusted,
            affinity=affinity_for(source.url, await self._nodes()),
        )
        secret = order_bytes(order)
        with cluster_faults():
            job = await _json(
                self._batch.create_namespaced_job_without_preload_content(self._namespace, manifest, **_REQUEST)
            )
            # The pod waits for it. Where we die before, the Job's deadline ends that.
            made: Any = secret_manifest(
                secret, name=order.name, instance=self._instance, job_uid=job["metadata"]["uid"]
            )
            await _json(self._core.create_namespaced_secret_without_preload_content(self._namespace, made, **_REQUEST))

    async def _nodes(self) -> list[str]:
        """Return the nodes among which a repository has one of its own; none, where that makes no difference."""
        if not self._builders.are_sticky:
            return []
        selector = ",".join(f"{key}={value}" for key, value in self._builders.node_selector.items())
        with cluster_faults():
            found = await _json(self._core.list_node_without_preload_content(label_selector=selector, **_REQUEST))
        return [node["metadata"]["name"] for node in found["items"] if is_built_on(node)]

    async def _remove(self, name: str) -> None:
        """Remove a build's Job, its pod and its Secret, and wait until they are gone."""
        with cluster_faults():
            with missing_is_fine():
                await self._core.delete_namespaced_secret(name, self._namespace, **_REQUEST)
            with missing_is_fine():
                await self._batch.delete_namespaced_job(
                    name, self._namespace, propagation_policy="Foreground", **_REQUEST
                )
        until = monotonic() + _REMOVAL_SECONDS
        while await self._is_there(name):
            if monotonic() > until:
                await self._let_go(name)
                return
            await asyncio.sleep(_POLL_SECONDS / 2)

    async def _is_there(self, name: str) -> bool:
        with cluster_faults():
            return await self._job_of(name) is not None

    async def _job_of(self, name: str) -> Object | None:
        """Return the Job of that name, or None where there is none."""
        reading = self._batch.read_namespaced_job_without_preload_content(name, self._namespace, **_REQUEST)
        try:
            job: Object = await _json(reading)
        except ApiException as error:
            if error.status != MISSING:
                raise
            return None
        return job

    async def _let_go(self, name: str) -> None:
        """Remove a pod whose node does not say that it ended."""
        with cluster_faults():
            for pod in await self._pods(name):
                with missing_is_fine():
                    await self._core.delete_namespaced_pod(
                        pod["metadata"]["name"], self._namespace, grace_period_seconds=0, **_REQUEST
                    )

    async def _made(self, order: Order, heard: Heard) -> Built:
        """Tell what a build's pod says until it said how the build ended.

        Raises: BinderError.
        """
        lines, waiting, silence = Lines(order.mark), _Waiting(self._builders), _Silence()
        while True:
            look = await self._seen(order.name, silence)
            if look and look.stage in PATIENCE_SECONDS:
                silence.is_broken()
                if news := waiting.news_of(look):
                    await heard(Said(news))
            elif look:
                if built := await self._heard_out(look, lines, heard, silence):
                    return built
                if look.fault:
                    log.warning("builder_ended", job=order.name, reason=look.fault.message, said=lines.strange)
                    raise look.fault
                silence.check(WorldFault("The builder has not said anything for a while: its node may be lost."))
            await asyncio.sleep(_POLL_SECONDS)

    async def _heard_out(self, look: Look, lines: Lines, heard: Heard, silence: "_Silence") -> Built | None:
        """Tell what is new in the log of a pod; return what it made, or None where it does not say so.

        Raises: BinderError, where it says that the build failed.
        """
        async with aclosing(self._events(look, lines)) as events:
            async for event in events:
                silence.is_broken()
                match event:
                    case Made(built):
                        return built
                    case Failed():
                        raise fault_said(event)
                    case Lives():
                        pass
                    case _:
                        await heard(event)
        return None

    async def _seen(self, name: str, silence: "_Silence") -> Look | None:
        """Return what is seen of a build; None, where the API server does not answer for now.

        Raises: OperatorFault; WorldFault.
        """
        try:
            return await self._look(name)
        except WorldFault as error:
            silence.check(error)
            return None

    async def _look(self, name: str) -> Look:
        with cluster_faults():
            job = await self._job_of(name)
            if job is None:
                return Look("ended", fault=taken_away())
            look = look_at(await self._pods(name), job, self._builders)
        return await self._with_events(name, look) if look.stage == "unmade" else look

    async def _pods(self, name: str) -> Sequence[Object]:
        of_job = f"batch.kubernetes.io/job-name={name}"
        found = await _json(
            self._core.list_namespaced_pod_without_preload_content(self._namespace, label_selector=of_job, **_REQUEST)
        )
        pods: Sequence[Object] = found["items"]
        return pods

    async def _with_events(self, name: str, look: Look) -> Look:
        """Return a look with what the cluster says of a Job of which it makes no pod: a quota, a rule for pods."""
        of_job = f"involvedObject.kind=Job,involvedObject.name={name},type=Warning"
        with suppress(ApiException, ClientError, TimeoutError):
            found = await _json(
                self._core.list_namespaced_event_without_preload_content(
                    self._namespace, field_selector=of_job, **_REQUEST
                )
            )
            messages = [str(event.get("message", "")) for event in found["items"]]
            return Look(look.stage, waits=messages[-1][:300] if messages else "")
        return look

    async def _events(self, look: Look, lines: Lines) -> AsyncGenerator[Event]:
        """Give the events of a pod's log that are new, until it ends, breaks off, or nothing comes for a while."""
        if look.pod is None:
            return
        lines.begin()
        answer: ClientResponse | None = None
        try:
            answer = await self._log_of(look.pod)
            if answer.status != FOUND:
                return
            async for piece in answer.content.iter_any():
                for event in lines.take(piece):
                    yield event
        except (ClientError, TimeoutError, OSError):
            pass  # the connection, or the node: it is looked at again
        finally:
            if answer is not None:
                answer.close()

    async def _log_of(self, pod: str) -> ClientResponse:
        """Return the log of a builder, from its beginning, as it grows."""
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


class _Silence:
    """Knows how long nothing was heard of a build."""

    def __init__(self) -> None:
        self._since = monotonic()

    def is_broken(self) -> None:
        """Take note that something was heard."""
        self._since = monotonic()

    def check(self, fault: WorldFault) -> None:
        """Raise a fault, where it has lasted for too long."""
        if monotonic() - self._since > _SILENCE_SECONDS:
            raise fault


class _Waiting:
    """Knows how long a build waits, and for what."""

    def __init__(self, builders: Builders) -> None:
        self._builders = builders
        self._stage = ""
        self._since = monotonic()
        self._said = ""

    def news_of(self, look: Look) -> str:
        """Return what is new to be said.

        Raises: OperatorFault, where it has waited for too long.
        """
        if look.stage != self._stage:
            self._stage, self._since = look.stage, monotonic()
        if monotonic() - self._since > PATIENCE_SECONDS[look.stage]:
            raise impatience(look, self._builders)
        if not look.waits or look.waits == self._said:
            return ""
        self._said = look.waits
        return f"The builder waits: {look.waits}"


async def _json(asking: Any) -> Any:
    """Return the JSON of an answer.

    Raises: ApiException.
    """
    answer = await asking
    data = await answer.read()
    if answer.status >= 300:
        raise ApiException(status=answer.status, body=data.decode(errors="replace"))
    return json.loads(data)
