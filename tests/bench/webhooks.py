"""`webhooks-p99`, `webhooks-lost`, `webhooks-memory`: a burst of deliveries while a build runs, and across a `kill -9`.

The service is the whole one, behind its HAProxy, and acts on what it has taken while more comes in.
"""

import asyncio
from collections.abc import Sequence
from statistics import quantiles

from tests.bench.figures import Figure
from tests.bench.place import folder
from tests.bench.resting import resident_mb
from tests.bench.sender import Answered, Round, send
from tests.stage import NOTEBOOK, REPOSITORY, Stage, running_stage

_DELIVERIES = 2000
_RATE = 200.0
_WARM_UP = 200
_MOST_REDELIVERIES = 5
# A build that keeps a processor busy for longer than the deliveries take, as one that compiles does.
_BUSY = "#!/bin/sh\ntimeout 60 sh -c 'while :; do :; done' || true\n"
_IS_BUSY = "select 1 from builds where sha = '{sha}' and state = 'building'"


async def measure() -> list[Figure]:
    """Send one round while a build runs, and another one across a crash."""
    with folder() as home:
        async with running_stage(home) as stage:
            sha = await stage.push({"index.ipynb": NOTEBOOK})
            await stage.final_status(sha)
            busy = await stage.push({"postBuild": _BUSY}, branch="busy", executable="postBuild")
            await stage.until(_IS_BUSY.format(sha=busy))
            await _sent(stage, sha, "warm-up", _WARM_UP)
            before = _service_mb(stage)
            answered = await _sent(stage, sha, "burst", _DELIVERIES)
            grown = _service_mb(stage) - before
            if not stage.rows(_IS_BUSY.format(sha=busy)):
                raise AssertionError("the build ended before the deliveries did")
            unanswered = sum(one.status != 202 for one in answered)
            if unanswered:
                raise AssertionError(f"{unanswered} of {len(answered)} deliveries were not taken")
            lost = await _lost_in_a_crash(stage, sha)
    what = f"{_DELIVERIES} deliveries at {_RATE:g}/s while a build runs"
    return [
        Figure("webhooks-p99", [_p99(answered)], f"{what}: due → answered, 99th percentile"),
        Figure("webhooks-memory", [grown], f"{what}: what the service holds more after them", unit="MB"),
        Figure(
            "webhooks-lost", [lost], "as many across a kill -9: answered 2xx, and not in the store", unit="deliveries"
        ),
    ]


async def _lost_in_a_crash(stage: Stage, sha: str) -> int:
    """Kill and restart the service in the middle of a round, deliver again what nobody answered, and count the lost."""
    sending = asyncio.create_task(_sent(stage, sha, "crash", _DELIVERIES))
    await asyncio.sleep(_DELIVERIES / _RATE / 2)
    await stage.kill_service()
    await stage.start_service()
    taken, left = _sorted_out(await sending)
    for _ in range(_MOST_REDELIVERIES):
        again, left = _sorted_out(await send(_round(stage, sha, left))) if left else (set(), [])
        taken |= again
    if left:
        raise AssertionError(f"{len(left)} deliveries were refused again and again")
    stored = {guid for (guid,) in stage.rows("select guid from deliveries")}
    return len(taken - stored)


async def _sent(stage: Stage, sha: str, name: str, count: int) -> list[Answered]:
    return await send(_round(stage, sha, [f"{name}-{number}" for number in range(count)]))


def _round(stage: Stage, sha: str, guids: list[str]) -> Round:
    repository = stage.sandbox.world.repository(REPOSITORY)
    secret = stage.environment["BINDER_GITHUB_WEBHOOK_SECRETS"]
    return Round(stage.url, secret, guids, _RATE, repository.id, sha)


def _sorted_out(answered: Sequence[Answered]) -> tuple[set[object], list[str]]:
    """Return the deliveries that were taken, and those that were not."""
    taken: set[object] = {one.guid for one in answered if one.status in {200, 202}}
    return taken, [one.guid for one in answered if one.guid not in taken]


def _p99(answered: Sequence[Answered]) -> float:
    return quantiles((one.seconds for one in answered), n=100)[98]


def _service_mb(stage: Stage) -> float:
    assert stage.service
    return resident_mb(stage.service.pid)
