"""`cluster-click-standby`, `cluster-click-cold`, `cluster-push-content`: the main job on a real cluster, by the clock.

A link is followed as a browser follows it, to the first 200 of the session's page; a push is over when its status is
green, which it is once a kernel has answered. The cluster's own daemons share the machine.
"""

import asyncio
from time import monotonic

from binder.cli.visit import open_link
from tests.bench.clicks import leave
from tests.bench.figures import Figure
from tests.bench.place import folder
from tests.cluster.given import given_cluster
from tests.cluster.stage import REPOSITORY, ClusterStage, running_cluster_stage
from tests.stage import NOTEBOOK

_ROUNDS = 10
_SETTLED = "select 1 where not exists (select 1 from sessions where state in ('wanted', 'starting', 'open'))"
_STANDBY = (
    "select 1 from sessions join builds on builds.id = build_id where sessions.state = 'standby' and sha = '{head}' "
    "and not exists (select 1 from sessions where state in ('wanted', 'starting', 'open'))"
)


async def measure() -> list[Figure]:
    """Push notebooks, click on links with a standby behind them, and on links to commits without one."""
    cluster = await asyncio.to_thread((giving := given_cluster()).__enter__)
    try:
        with folder() as home:
            async with running_cluster_stage(cluster, home) as stage:
                return await _figures(stage)
    finally:
        await asyncio.to_thread(giving.__exit__, None, None, None)


async def _figures(stage: ClusterStage) -> list[Figure]:
    await _push(stage, 0, {"requirements.txt": "six\n"})
    pushes = [await _push(stage, number) for number in range(1, _ROUNDS + 1)]
    (*old, head) = (sha for sha, _ in pushes)
    standby = [await _click(stage, head, _STANDBY.format(head=head)) for _ in range(_ROUNDS)]
    cold = [await _click(stage, sha, _SETTLED) for sha in old]
    what = "link → first 200 of the session's page"
    return [
        Figure("cluster-click-standby", standby, f"{what}, a standby waits"),
        Figure("cluster-click-cold", cold, f"{what}, its image is on the node and no session of it runs"),
        Figure("cluster-push-content", [seconds for _, seconds in pushes], "push of a changed notebook → green status"),
    ]


async def _push(stage: ClusterStage, number: int, more: dict[str, str] | None = None) -> tuple[str, float]:
    """Push a notebook of its own; return the commit, and how long it took until its status was green."""
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", f"6 * {number}"), **(more or {})})
    began = monotonic()
    status = await stage.final_status(sha)
    assert status.state == "success", status.description
    return sha, monotonic() - began


async def _click(stage: ClusterStage, sha: str, condition: str) -> float:
    """Wait until the store says so, and a second more for what has just come up; then click, and leave again."""
    await stage.until(condition)
    await asyncio.sleep(1)
    visit = await open_link(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?urlpath=lab", timeout_seconds=60)
    await leave(visit)
    return visit.seconds
