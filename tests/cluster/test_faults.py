"""What breaks on a cluster, in the middle of things: each ends as it should, and nothing is left that nobody wants."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
import pytest_asyncio

from binder.cli.git import git
from binder.cli.visit import Visit, compute, open_link
from tests.cluster.given import Cluster, Namespace
from tests.cluster.stage import REPOSITORY, ClusterStage
from tests.stage import NOTEBOOK

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.halts,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(1800),
]

_SLOW = "#!/bin/sh\necho {mark}\nsleep 15\n"
_STOPPED_SECONDS = 20


@pytest_asyncio.fixture(scope="module", loop_scope="package", autouse=True)
async def _green(stage: ClusterStage) -> None:
    """There is a session to open, and a branch to begin others at."""
    if not await git(stage.folder, "branch", "--list", "main"):
        sha = await stage.push({"index.ipynb": NOTEBOOK})
        assert (await stage.final_status(sha)).state == "success"


async def test_a_build_whose_controller_dies_is_taken_up_by_the_other(stage: ClusterStage) -> None:
    sha = await _push_slowly(stage, "controller")
    await _kill(stage, stage.installed.namespace, await _leader(stage))
    assert (await stage.final_status(sha)).state == "success"
    await _nothing_is_left(stage)


async def test_a_build_whose_pod_is_killed_is_tried_again(stage: ClusterStage) -> None:
    sha = await _push_slowly(stage, "builder")
    (pod,) = stage.builds.list("pods")
    await _kill(stage, stage.builds, pod["metadata"]["name"])
    assert (await stage.final_status(sha)).state == "success"
    await _nothing_is_left(stage)


async def test_a_build_waits_for_a_registry_that_does_not_answer(stage: ClusterStage, cluster: Cluster) -> None:
    sha = await _push_slowly(stage, "registry")
    with cluster.halted("docker-registry"):
        await asyncio.sleep(_STOPPED_SECONDS)
    assert (await stage.final_status(sha)).state == "success"
    await _nothing_is_left(stage)


async def test_a_session_goes_on_where_a_proxy_dies(stage: ClusterStage) -> None:
    visit = await _open(stage)
    for proxy in sorted(stage.installed.pods("proxy"))[:1]:
        await _kill(stage, stage.installed.namespace, proxy)
    await _until(lambda: _is_answered(visit, 200))
    assert (await compute(visit, "print(6 * 7)")).strip() == "42"
    await _until(lambda: _as_awaitable(len(stage.installed.pods("proxy")) == 2))


async def test_sessions_go_on_without_the_api_server_and_pushes_after_it(stage: ClusterStage, cluster: Cluster) -> None:
    visit = await _open(stage)
    with cluster.halted("etcd"):
        await asyncio.sleep(_STOPPED_SECONDS)
        assert (await compute(visit, "print(6 * 8)")).strip() == "48"
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", "7 * 7")})
    assert (await stage.final_status(sha)).state == "success"
    await _nothing_is_left(stage)


async def test_a_service_whose_database_ends_goes_on_with_it(stage: ClusterStage) -> None:
    database = stage.installed.namespace.known(f"{stage.installed.name}-database-0")
    await asyncio.to_thread(database.execute, "sh", "-c", "kill -INT 1")
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", "8 * 7")})
    assert (await stage.final_status(sha)).state == "success"
    await _nothing_is_left(stage)


async def test_whose_session_was_taken_away_is_told_so(stage: ClusterStage) -> None:
    visit = await _open(stage)
    session_id = visit.base_url.split("/")[-2]
    (pod,) = _pods_of(stage, session_id)
    await _kill(stage, stage.sessions, pod)
    await _until(lambda: _is_answered(visit, 410))
    await _nothing_is_left(stage)


async def test_the_sessions_of_a_lost_node_end_and_say_so_and_standbys_appear_where_there_is_one(
    stage: ClusterStage, cluster: Cluster
) -> None:
    visit = await _open(stage)
    session_id = visit.base_url.split("/")[-2]
    with cluster.halted("kubelet"):
        await _until(lambda: _as_awaitable(not _pods_of(stage, session_id)), seconds=240)
    await _until(lambda: _is_answered(visit, 410), seconds=120)
    (reason,) = await stage.until(f"select reason from sessions where id = '{session_id}' and state = 'ended'")
    assert reason == ["The node that it ran on was lost."]
    await stage.until("select 1 from sessions where state = 'standby'", timeout_seconds=180)
    await _nothing_is_left(stage)


def _pods_of(stage: ClusterStage, session_id: str) -> list[str]:
    """Return the pods of a session that nobody has told to go."""
    pods = [one["metadata"] for one in stage.sessions.list("pods")]
    ours = [one for one in pods if one["labels"]["binder.session"] == session_id]
    return [one["name"] for one in ours if "deletionTimestamp" not in one]


async def _push_slowly(stage: ClusterStage, mark: str) -> str:
    """Push what has to be built in a pod, and return its commit once a step of it runs there."""
    sha = await stage.push({"postBuild": _SLOW.format(mark=mark)}, branch=f"slow-{mark}", executable="postBuild")
    said = f"select 1 from builds where sha = '{sha}' and state = 'building'"
    await stage.until(said, timeout_seconds=300)
    await _until(lambda: _as_awaitable(_runs(stage)), seconds=300)
    return sha


def _runs(stage: ClusterStage) -> bool:
    return any(pod["status"]["phase"] == "Running" for pod in stage.builds.list("pods"))


async def _leader(stage: ClusterStage) -> str:
    """Return the pod of the controller that works."""
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{stage.sessions.name}/leases"
    (lease,) = await asyncio.to_thread(stage.installed.namespace.cluster.api.list, leases)
    return str(lease["spec"]["holderIdentity"]).partition(":")[0]


async def _kill(stage: ClusterStage, namespace: Namespace, pod: str) -> None:
    """End a pod as the loss of its node would: nobody in it is asked."""
    path = f"/api/v1/namespaces/{namespace.name}/pods/{pod}?gracePeriodSeconds=0"
    await asyncio.to_thread(stage.installed.namespace.cluster.api.ask, "DELETE", path)


async def _open(stage: ClusterStage) -> Visit:
    return await open_link(f"{stage.url}/v2/gh/{REPOSITORY}/main?urlpath=lab", timeout_seconds=120)


async def _is_answered(visit: Visit, status: int) -> bool:
    async with httpx.AsyncClient(headers={"Authorization": f"token {visit.token}"}, timeout=10) as client:
        try:
            return (await client.get(f"{visit.base_url}lab")).status_code == status
        except httpx.TransportError:
            return False


async def _as_awaitable(value: bool) -> bool:
    return value


async def _until(is_so: Callable[[], Awaitable[bool]], *, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.3)


async def _nothing_is_left(stage: ClusterStage) -> None:
    left: list[str] = []
    for _ in range(200):
        if not (left := await stage.left()):
            return
        await asyncio.sleep(0.3)
    raise AssertionError(f"nobody wants these: {left}")
