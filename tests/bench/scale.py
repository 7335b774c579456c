"""`scale`: what the control plane costs as a cluster grows; a real one, but for the nodes, which kwok pretends to be.

The store (PostgreSQL), `deploy.keeper`, `deploy.kubernetes` and the API server are real. What simulated pods cannot do
is to answer as Jupyter: so a pod that runs is a session that works here. Each figure is that of the whole size; what a
quarter and a half of it gave stands beside it, with the exponent of its growth: 0 is constant, 1 is as the sessions
grow, and 2 is what must not be. `make bench-scale-full` is the large size; its figures are in `docs/scaling.md`.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import log
from pathlib import Path
from typing import Any

from binder.settings import read_settings
from tests.bench.figures import Figure
from tests.bench.place import folder
from tests.bench.simulation import PARTS, Size
from tests.cluster.programs import OF_SIMULATION, build_programs

SMALL = Size(nodes=100, sessions=1_000, per_second=10, seconds=15)
FULL = Size(nodes=1_000, sessions=10_000, per_second=100, seconds=60)
_LONGEST_SECONDS = 3600.0
_NAMESPACES = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--net", "--pid", "--fork", "--kill-child"),
    *("--mount", "--propagation", "private", "--mount-proc", "catatonit", "--"),
)
_FIGURES: Sequence[tuple[str, str, str, Callable[[dict[str, Any]], float]]] = (
    ("cpu", "ms", "of the controller's processor, for each launch", lambda seen: seen["cpu_seconds"] * 1000),
    ("crowd-cpu", "ms", "the same, where all are wanted at once", lambda seen: seen["crowd_cpu_seconds"] * 1000),
    ("crowd-rate", "1/s", "how fast those come up", lambda seen: seen["crowd_per_second"]),
    ("end-cpu", "ms", "the same, for each end of a session", lambda seen: seen["end_cpu_seconds"] * 1000),
    ("rest-cpu", "%", "of one processor, while nothing happens", lambda seen: seen["rest_cpu_share"] * 100),
    ("memory", "MB", "of the controller, resident", lambda seen: seen["memory_mb"]),
    ("calls", "calls", "to the API server, for each launch", lambda seen: seen["calls"]),
    ("end-calls", "calls", "the same, for each end", lambda seen: seen["end_calls"]),
    ("rest-calls", "calls/s", "the same, while nothing happens", lambda seen: seen["rest_calls_per_second"]),
    ("decide-p50", "s", "from a click until the cluster is asked", lambda seen: seen["asked_seconds"][0]),
    ("decide-p99", "s", "the same", lambda seen: seen["asked_seconds"][1]),
    ("start-look-p50", "s", "a look for what is to be started", lambda seen: seen["start_look_seconds"][0]),
    ("start-look-p99", "s", "the same", lambda seen: seen["start_look_seconds"][1]),
    ("whole-look-p50", "s", "a look at everything", lambda seen: seen["whole_look_seconds"][0]),
    ("whole-look-p99", "s", "the same", lambda seen: seen["whole_look_seconds"][1]),
    ("launch-p50", "s", "from a click until its pod runs", lambda seen: seen["ready_seconds"][0]),
    ("launch-p99", "s", "the same", lambda seen: seen["ready_seconds"][1]),
    ("failed", "launches", "that came to nothing", lambda seen: seen["failed"]),
)


async def measure() -> list[Figure]:
    """Measure a size that this machine carries in a few minutes."""
    return await _measure(SMALL)


async def measure_full() -> list[Figure]:
    """Measure a thousand nodes, ten thousand sessions, and a hundred launches each second for a minute."""
    return await _measure(FULL)


async def _measure(size: Size) -> list[Figure]:
    programs = await asyncio.to_thread(build_programs, read_settings().cache_dir, OF_SIMULATION)
    with folder() as home:
        parts = await _simulate(home, json.dumps({name: str(path) for name, path in programs.items()}), size)
    rate = Figure(
        "scale-rate",
        [parts[-1]["per_second"]],
        f"launches each second, of {size.per_second} that were asked for; load {parts[-1]['load']:.1f}",
        unit="1/s",
        more_is_better=True,
    )
    return [rate, *(_figure(name, unit, what, [of(seen) for seen in parts]) for name, unit, what, of in _FIGURES)]


async def _simulate(home: Path, programs: str, size: Size) -> list[dict[str, Any]]:
    argv = [*_NAMESPACES, sys.executable, "-m", "tests.bench.simulation", str(home), programs, json.dumps(asdict(size))]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    parts = []
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            async for line in process.stdout:
                sys.stderr.write(f"scale: {line.decode()}")
                parts.append(json.loads(line))
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()  # and the kernel all that is in its namespaces
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"the simulation ended with exit code {process.returncode}")
    return parts


def _figure(name: str, unit: str, what: str, values: Sequence[float]) -> Figure:
    beside = ", ".join(f"{value:.3g} at {share:g}" for share, value in zip(PARTS[:-1], values[:-1], strict=True))
    grown = _exponent(values[0], values[-1])
    return Figure(f"scale-{name}", [values[-1]], f"{what} ({beside}; growth {grown})", unit=unit)


def _exponent(part: float, whole: float) -> str:
    if part <= 0 or whole <= 0:
        return "-"
    return f"{log(whole / part) / log(PARTS[-1] / PARTS[0]):.2f}"
