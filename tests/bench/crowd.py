"""`clicks-100`: a hundred visitors click on one link at once, on a machine with room for far fewer.

Each must end with a session, or with an honest place in the queue; anything else is an error.
"""

import asyncio
import re
from collections import Counter
from time import monotonic

import httpx

from tests.bench.clicks import green
from tests.bench.figures import Figure
from tests.bench.place import folder
from tests.stage import REPOSITORY, running_stage

_VISITORS = 100
_PLACES = 12
_TIMEOUT_SECONDS = 180
_LOOK_SECONDS = 3.0
_POSITION = re.compile(r"position (\d+) of (\d+)")


async def measure() -> list[Figure]:
    """Have all click at once, look again as their pages do, and count how each of them ended."""
    with folder() as home:
        async with running_stage(home, settings={"BINDER_SESSIONS_AT_MOST": str(_PLACES)}) as stage:
            link = f"{stage.url}/v2/gh/{REPOSITORY}/{await green(stage, 0)}?urlpath=lab"
            began = monotonic()
            visits = await asyncio.gather(*(_visit(link) for _ in range(_VISITORS)))
            opened = [monotonic_at - began for ending, monotonic_at in visits if ending == "session"]
    endings = Counter(ending for ending, _ in visits)
    errors = {ending: number for ending, number in endings.items() if ending not in {"session", "queue"}}
    said = f"; errors: {errors}" if errors else ""
    what = (
        f"{_VISITORS} clicks at once, {_PLACES} places: {endings['session']} sessions, {endings['queue']} in the queue"
    )
    return [
        Figure("clicks-100", [sum(errors.values())], f"{what}{said}", unit="errors"),
        Figure("clicks-100-last", [max(opened, default=0)], f"{what}: until the last session was open"),
    ]


async def _visit(link: str) -> tuple[str, float]:
    """Return how a visitor ended, and when: `session`, `queue`, or what was wrong."""
    deadline = monotonic() + _TIMEOUT_SECONDS
    async with httpx.AsyncClient(follow_redirects=True, timeout=60) as client:
        while monotonic() < deadline:
            try:
                answer = await client.get(link)
            except httpx.HTTPError as error:
                return type(error).__name__, monotonic()
            if answer.status_code == 503 and _POSITION.search(answer.text):
                return "queue", monotonic()
            if answer.status_code != 200:
                return f"status {answer.status_code}", monotonic()
            if answer.url.path.startswith("/s/"):
                return "session", monotonic()
            await asyncio.sleep(_LOOK_SECONDS)
    return "time-out", monotonic()
