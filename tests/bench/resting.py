"""`memory-rest`: what the service and its HAProxy take while nothing happens, a standby being ready."""

import asyncio
from pathlib import Path

from tests.bench.clicks import green
from tests.bench.figures import Figure
from tests.bench.place import folder
from tests.stage import Stage, running_stage

_LOOKS = 5
_READY = "select 1 from sessions where state = 'standby'"


async def measure() -> list[Figure]:
    """Build and check one commit, wait until all is quiet, and look a few times."""
    with folder() as home:
        async with running_stage(home) as stage:
            await green(stage, 0)
            await stage.until(_READY)
            looks: list[float] = []
            for _ in range(_LOOKS):
                await asyncio.sleep(2)
                looks.append(sum(resident_mb(pid) for pid in _processes(stage)))
    return [Figure("memory-rest", looks, "service and HAProxy at rest, resident", unit="MB")]


def resident_mb(pid: int) -> float:
    """Return what a process holds in memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024 / 1e6


def _processes(stage: Stage) -> list[int]:
    assert stage.service
    service = stage.service.pid
    children = Path(f"/proc/{service}/task/{service}/children").read_text(encoding="ascii").split()
    named = [int(pid) for pid in children if _name_of(int(pid)) == "haproxy"]
    assert named, "the service has no HAProxy"
    return [service, *named]


def _name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
