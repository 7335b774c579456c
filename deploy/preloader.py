"""Brings images to nodes before anybody clicks: a pod for each, that is gone as soon as the image is there.

What is brought is `deploy.preload`'s to decide. Such a pod names a command that no image has: the kubelet brings the
image, cannot start it, and says so. So nothing of a repository's runs, and no image needs a shell for it. The scheduler
finds it its place on the node that is meant, so that quotas, taints and room count as for all others. One that brings
no image within its time is ended by the cluster itself, whoever died meanwhile.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from kubernetes.aio.client import ApiClient, CoreV1Api

from binder.cluster import APPLY, REQUEST_SECONDS, cluster_faults, missing_is_fine, read_answer
from binder.cluster_watch import ClusterWatch, Object
from binder.log import logger
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import utc_now
from deploy.lifetime import patience_of
from deploy.manifests import preload_manifest
from deploy.placement import Placement, may_run_on
from deploy.pool import kept_builds
from deploy.preload import LikelyImage, NodeFact, PreloadBounds, PreloadFacts, Pull, preload_plan
from deploy.records import layers_of, read_facts
from deploy.service_manifests import is_of_this_machine

log = logger(__name__)

_LOOK_SECONDS = 10.0
_MOST_IMAGES = 500
_AT_ONCE = 8
# A node tells what it has every ten seconds, and of no more than fifty images.
_TRIED_SECONDS = 1800.0
_PULLED = frozenset({"StartError", "ContainerCannotRun", "RunContainerError", "CreateContainerError"})
_FAILED = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})


class Bringing(NamedTuple):
    """What is kept of a pod of ours. `is_there`: whether the image is; None: it is still on its way."""

    pull: Pull
    is_there: bool | None


class Preloader:
    """Brings the images of likely previews of one store to the nodes of one cluster."""

    def __init__(
        self,
        connection: ApiClient,
        store: Store,
        settings: Settings,
        *,
        namespace: str,
        instance: str,
        placement: Placement,
    ) -> None:
        self._core = CoreV1Api(connection)
        self._store = store
        self._settings = settings
        self._namespace = namespace
        self._instance = instance
        self._placement = placement
        bounds = settings.preload_copies, settings.preload_disk_bytes
        self._bounds = PreloadBounds(*bounds, at_once=_AT_ONCE)
        self._nodes = ClusterWatch(connection, "/api/v1/nodes", lambda node: node_of(node, placement))
        self._pods = ClusterWatch(
            connection, f"/api/v1/namespaces/{namespace}/pods", bringing_of, selector=f"binder.preload={instance}"
        )
        self._tried: dict[Pull, float] = {}
        self._looked_at = -_LOOK_SECONDS

    async def watch(self) -> None:
        """Keep to what the cluster says, until it is cancelled; `step` asks for it."""
        async with asyncio.TaskGroup() as watches:
            for watch in (self._nodes, self._pods):
                watches.create_task(watch.run())

    async def step(self) -> bool:
        """Bring what should be brought next, and put away what has been. Return False: it is looked again in a while.

        Raises: OperatorFault; WorldFault.
        """
        if time.monotonic() - self._looked_at < _LOOK_SECONDS:
            return False
        await self.round()
        self._looked_at = time.monotonic()
        return False

    async def round(self) -> tuple[PreloadFacts, list[Pull]]:
        """Look, put away what has been brought, and begin what is next; return what there was, and what was begun.

        Raises: OperatorFault; WorldFault.
        """
        await self._put_away()
        facts = await self.look()
        # With a thousand nodes it takes a second, which others need not wait for.
        plan = await asyncio.to_thread(preload_plan, facts, self._bounds)
        for pull in plan:
            await self._bring(pull)
        return facts, plan

    async def look(self) -> PreloadFacts:
        """Return what there is.

        Raises: OperatorFault; WorldFault.
        """
        due = time.monotonic() - _TRIED_SECONDS
        self._tried = {pull: at for pull, at in self._tried.items() if at > due}
        nodes = [node for node in (await self._nodes.known()).values() if node]
        busy = [pod.pull for pod in (await self._pods.known()).values() if pod.is_there is None]
        return PreloadFacts(await self._likely(), nodes, busy, list(self._tried))

    async def _put_away(self) -> None:
        """Remove the pods that have brought their image, or cannot."""
        done = {name: pod for name, pod in (await self._pods.known()).items() if pod.is_there is not None}
        for name, pod in done.items():
            self._tried[pod.pull] = time.monotonic()
            log.info("image_brought" if pod.is_there else "image_not_brought", **pod.pull._asdict())
            uid = self._pods.uid_of(name)
            with cluster_faults(), missing_is_fine():
                await self._core.delete_namespaced_pod(
                    name, self._namespace, grace_period_seconds=0, _request_timeout=REQUEST_SECONDS
                )
            if uid:
                self._pods.removed(name, uid)

    async def _bring(self, pull: Pull) -> None:
        name = f"binder-{self._instance}-preload-{sha256('/'.join(pull).encode()).hexdigest()[:16]}"
        manifest: Any = preload_manifest(pull.image, pull.node, self._placement, name=name, instance=self._instance)
        with cluster_faults():
            made = self._core.patch_namespaced_pod_without_preload_content(name, self._namespace, manifest, **APPLY)
            _, pod = await read_answer(await made)
        self._pods.made(pod)

    async def _likely(self) -> list[LikelyImage]:
        facts = await read_facts(
            self._store,
            pods=None,
            sessions_at_most=self._settings.sessions_at_most,
            standbys_at_most=self._settings.standbys_at_most,
            patience=patience_of(self._settings),
            now=utc_now(),
        )
        kept = [
            build for build in kept_builds(facts.previews, facts.builds) if not is_of_this_machine(build.image or "")
        ]
        layers = await layers_of(self._store, [build.id for build in kept[:_MOST_IMAGES]])
        images = {name: keys for build in kept[:_MOST_IMAGES] for name, keys in layers[build.id].items()}
        return [LikelyImage(name, keys) for name, keys in images.items()]


def node_of(node: Object, placement: Placement) -> NodeFact | None:
    """Return what is kept of a node; None: sessions do not run on it."""
    status = node.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
    is_well = conditions.get("Ready") == "True" and conditions.get("DiskPressure", "False") == "False"
    if not is_well or node["spec"].get("unschedulable") or not may_run_on(node, placement):
        return None
    names = frozenset(name for image in status.get("images", ()) for name in image.get("names") or ())
    return NodeFact(node["metadata"]["name"], names)


def bringing_of(pod: Object) -> Bringing:
    """Return what is kept of a pod of ours."""
    pull = Pull(pod["metadata"]["annotations"]["binder.node"], pod["spec"]["containers"][0]["image"])
    statuses: Iterable[Mapping[str, Any]] = pod.get("status", {}).get("containerStatuses") or ()
    states = [state for status in statuses for state in status.get("state", {}).values()]
    reasons = {state.get("reason", "") for state in states}
    if reasons & _PULLED:
        return Bringing(pull, is_there=True)
    is_over = pod.get("status", {}).get("phase") in {"Failed", "Succeeded"}
    return Bringing(pull, is_there=False if is_over or reasons & _FAILED else None)


@asynccontextmanager
async def opened_preloader(preloader: Preloader) -> AsyncIterator[Preloader]:
    """Give a preloader that knows what the cluster says, as long as the block runs."""
    watching = asyncio.create_task(preloader.watch(), name="preload-watch")
    try:
        yield preloader
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
