"""`cli-version`, `cli-help` and `cli-list`: how long a command takes that has nothing to wait for.

In processes of their own, as a shell starts them, in turns with what podman takes for the same. The store is an empty
one; 0.2 s are allowed for each.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from binder.store import open_store
from tests.bench.figures import Figure
from tests.bench.place import folder

_ROUNDS = 11
_BINDER = str(Path(sys.executable).parent / "binder")
_COMMANDS: Sequence[tuple[str, Sequence[str], Sequence[str], str]] = (
    ("cli-version", ["--version"], ["podman", "--version"], "`binder --version`; `podman --version`"),
    ("cli-help", ["--help"], ["podman", "--help"], "`binder --help`, in groups; `podman --help`"),
    (
        "cli-list",
        ["list", "--json"],
        ["podman", "ps", "--all", "--format", "json"],
        "`binder list --json` on an empty store; `podman ps --all --format json`",
    ),
)


async def measure() -> list[Figure]:
    """Start each command and its peer, in turns."""
    with folder() as place:
        state = place / "state"
        state.mkdir()
        async with open_store(f"sqlite+aiosqlite:///{state / 'binder.db'}"):
            pass
        env = {**os.environ, "BINDER_STATE_DIR": str(state)}
        return [await asyncio.to_thread(_figure, one, env) for one in _COMMANDS]


def _figure(command: tuple[str, Sequence[str], Sequence[str], str], env: dict[str, str]) -> Figure:
    name, ours, peers, what = command
    times: list[float] = []
    peer_times: list[float] = []
    for _ in range(_ROUNDS):
        times.append(_seconds([_BINDER, *ours], env))
        peer_times.append(_seconds(peers, env))
    return Figure(name, times, what, peer=" ".join(peers[:2]), peer_rounds=peer_times)


def _seconds(argv: Sequence[str], env: dict[str, str]) -> float:
    began = perf_counter()
    subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, check=True, timeout=60)
    return perf_counter() - began
