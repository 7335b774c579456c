"""`demo-fresh` and `demo-again`: what a newcomer waits for, from a clone to the last step, and the second time.

The clone, the home, the caches and the state are new. What apt has installed stays installed.
"""

import asyncio
import os
from pathlib import Path
from time import monotonic

from tests.bench.figures import Figure
from tests.bench.place import folder

_ROOT = Path(__file__).resolve().parents[2]
_TIMEOUT_SECONDS = 900


async def measure() -> list[Figure]:
    """Clone, run the demo once, and run it again."""
    with folder() as place:
        await _run(["git", "clone", "--quiet", str(_ROOT), str(place / "clone")], place)
        fresh = await _demo(place)
        again = [await _demo(place) for _ in range(3)]
    return [
        Figure("demo-fresh", [fresh], "`make demo ARGS=--once` in a new clone with empty caches, all steps"),
        Figure("demo-again", again, "the same again on the same machine"),
    ]


async def _demo(place: Path) -> float:
    began = monotonic()
    await _run(["make", "--no-print-directory", "demo", "ARGS=--once --port 0 --github-port 0"], place)
    return monotonic() - began


async def _run(argv: list[str], place: Path) -> None:
    (place / "home").mkdir(exist_ok=True)
    own = {"HOME": str(place / "home"), "BINDER_STATE_DIR": str(place / "s"), "BINDER_CACHE_DIR": str(place / "cache")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BINDER_", "XDG_", "VIRTUAL_"))}
    cwd = place / "clone" if (place / "clone").exists() else place
    process = await asyncio.create_subprocess_exec(*argv, cwd=cwd, env={**kept, **own})
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        if await process.wait():
            raise RuntimeError(f"{argv[0]} ended with {process.returncode}")
