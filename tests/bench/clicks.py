"""`click-standby-p50` and `click-cold`: from a link to the first 200 of the session's page, as a browser follows it."""

import asyncio

from binder.cli.visit import open_link
from tests.bench.figures import Figure
from tests.bench.place import folder
from tests.stage import NOTEBOOK, REPOSITORY, Stage, running_stage

_STANDBY_ROUNDS = 11
_COLD_ROUNDS = 5
_IS_READY = (
    "select 1 from sessions join builds on builds.id = build_id where sessions.state = 'standby' and sha = '{head}'"
)
_SETTLED = "select 1 where not exists (select 1 from sessions where state in ('wanted', 'starting'))"
# A standby whose commit is no head any more is kept for a minute, since somebody may be about to click.
_ONLY_THE_HEAD_IS_READY = (
    "select 1 where not exists (select 1 from sessions join builds on builds.id = build_id "
    "where sessions.state = 'standby' and sha != '{head}')"
)


async def measure() -> list[Figure]:
    """Click on links with a standby behind them, then on links to commits whose sessions have ended."""
    with folder() as home:
        async with running_stage(home) as stage:
            old = [await _green(stage, number) for number in range(_COLD_ROUNDS)]
            head = await _green(stage, _COLD_ROUNDS)
            standby = [await _click(stage, head, _IS_READY.format(head=head)) for _ in range(_STANDBY_ROUNDS)]
            await stage.until(_ONLY_THE_HEAD_IS_READY.format(head=head), timeout_seconds=180)
            cold = [await _click(stage, sha, _SETTLED) for sha in old]
    return [
        Figure("click-standby-p50", standby, "link → first 200 of the session's page, a standby waits"),
        Figure("click-cold", cold, "the same, the image is there and no session runs"),
    ]


async def _green(stage: Stage, number: int) -> str:
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", f"6 * {number}")})
    status = await stage.final_status(sha)
    assert status.state == "success", status.description
    return sha


async def _click(stage: Stage, sha: str, condition: str) -> float:
    """Wait until the store says so, and a second more for what has just come up; then click."""
    await stage.until(condition)
    await asyncio.sleep(1)
    visit = await open_link(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?urlpath=lab", timeout_seconds=60)
    return visit.seconds
