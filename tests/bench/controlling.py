"""The loops of sessions in a process of their own, as the controller part runs them on a cluster; for `scale`.

`python -m tests.bench.controlling STORE_URL SESSIONS_AT_MOST NOTES`, with KUBECONFIG. It writes into NOTES a line for
each look, `NAME BEGAN SECONDS`, and one for each session that the cluster is asked for, `asked AT ID`, times as
`time.time()` has them; and it ends when its standard input does.
"""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

from binder.cluster import cluster_connection
from binder.log import set_up_logging
from binder.loop import run_loop
from binder.settings import read_settings
from binder.store import open_store
from deploy.engine import Engine, Running, SessionSpec
from deploy.keeper import ON_A_CLUSTER, Keeper
from deploy.kubernetes import kubernetes_engine
from tests.cluster.simulated import NAMESPACE

# As the service has it; what is to be started is looked for about as soon as a notice of a visitor's would be here.
_POLL_SECONDS = {"starts": 0.1, "sessions": 2.0}
_LONG_SECONDS = 86_400


class NotingEngine:
    """An engine that notes when it was asked for a session."""

    def __init__(self, engine: Engine, notes: TextIO) -> None:
        self._engine = engine
        self._notes = notes

    async def start(self, spec: SessionSpec) -> str:
        """Note it, and start the session."""
        self._notes.write(f"asked {time.time()} {spec.id}\n")
        return await self._engine.start(spec)

    async def stop(self, session_id: str) -> None:
        """Remove a session."""
        await self._engine.stop(session_id)

    async def running(self) -> Mapping[str, Running]:
        """Return what there is."""
        return await self._engine.running()

    async def log_of(self, session_id: str, service: str = "") -> str:
        """Return what there is none of."""
        return await self._engine.log_of(session_id)


@asynccontextmanager
async def _no_proof(engine: Engine, spec: SessionSpec, target: str, *, timeout_seconds: float) -> AsyncIterator[None]:
    """Take a pod that runs for a session that works: behind simulated ones nothing answers."""
    yield


def _timed(name: str, step: Callable[[], Awaitable[bool]], notes: TextIO) -> Callable[[], Awaitable[bool]]:
    async def timed() -> bool:
        at, began = time.time(), time.monotonic()
        try:
            return await step()
        finally:
            notes.write(f"{name} {at} {time.monotonic() - began}\n")

    return timed


async def _run(store_url: str, sessions_at_most: int, notes: TextIO) -> None:
    settings = read_settings(
        sessions_at_most=sessions_at_most,
        standbys_at_most=0,
        session_idle_seconds=_LONG_SECONDS,
        session_age_seconds=_LONG_SECONDS,
    )
    async with (
        open_store(store_url) as store,
        cluster_connection() as connection,
        kubernetes_engine(connection, namespace=NAMESPACE, instance="scale") as engine,
    ):
        keeper = Keeper(store, NotingEngine(engine, notes), settings, _no_proof, at_once=ON_A_CLUSTER)
        steps = {"starts": keeper.start_wanted, "sessions": keeper.step}
        loops = [
            asyncio.create_task(
                run_loop(
                    name,
                    _timed(name, step, notes),
                    store.changed,
                    poll_seconds=_POLL_SECONDS[name],
                    always_rests=name == "sessions",
                )
            )
            for name, step in steps.items()
        ]
        gc.freeze()  # as the service does
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        await asyncio.wait({ended, *loops}, return_when=asyncio.FIRST_COMPLETED)
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await keeper.close()


def main() -> None:
    """Run until the standard input ends."""
    url, sessions_at_most, path = sys.argv[1:]
    set_up_logging("info", as_json=True)
    with Path(path).open("w", encoding="ascii", buffering=1) as notes:
        asyncio.run(_run(url, int(sessions_at_most), notes))


if __name__ == "__main__":
    main()
