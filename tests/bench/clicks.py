"""`click-standby-p50`, `click-standby-p99`, `click-cold`: from a link to the first 200 of the session's page.

The link is followed as a browser follows it.
"""

import asyncio
from statistics import quantiles

import httpx

from binder.cli.visit import Visit, open_link
from tests.bench.figures import Figure
from tests.bench.place import folder
from tests.stage import NOTEBOOK, REPOSITORY, Stage, running_stage

_STANDBY_ROUNDS = 100
_COLD_ROUNDS = 5
_IS_READY = (
    "select 1 from sessions join builds on builds.id = build_id where sessions.state = 'standby' and sha = '{head}' "
    "and not exists (select 1 from sessions where state in ('wanted', 'starting', 'open'))"
)
_SETTLED = "select 1 where not exists (select 1 from sessions where state in ('wanted', 'starting', 'open'))"
# A standby whose commit is no head any more is kept for a minute, since somebody may be about to click.
_ONLY_THE_HEAD_IS_READY = (
    "select 1 where not exists (select 1 from sessions join builds on builds.id = build_id "
    "where sessions.state = 'standby' and sha != '{head}')"
)


async def measure() -> list[Figure]:
    """Click on links with a standby behind them, then on links to commits whose sessions have ended."""
    with folder() as home:
        async with running_stage(home) as stage:
            old = [await green(stage, number) for number in range(_COLD_ROUNDS)]
            head = await green(stage, _COLD_ROUNDS)
            standby = [await _click(stage, head, _IS_READY.format(head=head)) for _ in range(_STANDBY_ROUNDS)]
            await stage.until(_ONLY_THE_HEAD_IS_READY.format(head=head), timeout_seconds=180)
            cold = [await _click(stage, sha, _SETTLED) for sha in old]
    what = "link → first 200 of the session's page, a standby waits"
    return [
        Figure("click-standby-p50", standby, what),
        Figure("click-standby-p99", [quantiles(standby, n=100)[98]], f"{what}, 99th percentile of {_STANDBY_ROUNDS}"),
        Figure("click-cold", cold, "the same, the image is there and no session runs"),
    ]


async def green(stage: Stage, number: int) -> str:
    """Push a notebook of its own, wait until its status is green, and return the commit."""
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", f"6 * {number}")})
    status = await stage.final_status(sha)
    assert status.state == "success", status.description
    return sha


async def _click(stage: Stage, sha: str, condition: str) -> float:
    """Wait until the store says so, and a second more for what has just come up; then click, and leave again."""
    await stage.until(condition)
    await asyncio.sleep(1)
    visit = await open_link(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?urlpath=lab", timeout_seconds=60)
    await leave(visit)
    return visit.seconds


async def leave(visit: Visit) -> None:
    """Shut the session's server down: a hundred of them at once would not fit the machine."""
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(f"{visit.base_url}api/shutdown", headers={"Authorization": f"token {visit.token}"})
        answer.raise_for_status()
