"""`make bench` runs all benchmarks and prints a table; `make bench-NAME` runs one.

Each figure ends as one line: `name value unit ratio=… peer=…`. A ratio is the peer's time over ours (where more is
better, ours over the peer's), both measured in the same run, medians of several rounds: above 1, we are better. Figures
without a peer have no ratio.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from rich.console import Console
from rich.table import Table

from tests.bench import building, cli, clicks, cluster, crowd, demo, loops, proxy, push, resting, scale, webhooks
from tests.bench.figures import Figure

BENCHES: dict[str, Callable[[], Awaitable[list[Figure]]]] = {
    "demo": demo.measure,
    "push-content": push.measure,
    "build": building.measure,
    "click": clicks.measure,
    "clicks-100": crowd.measure,
    "loop-10k": loops.measure,
    "memory-rest": resting.measure,
    "cli": cli.measure,
    "webhooks": webhooks.measure,
    "proxy": proxy.measure,
    "scale": scale.measure,
    "scale-full": scale.measure_full,
    "cluster": cluster.measure,
}
"""Name of a benchmark → what measures its figures."""

_ONLY_BY_NAME = {"scale", "scale-full", "cluster"}
"""Those that need root, the programs of a cluster, and the whole machine for a while."""

OF_FIGURE = {
    "demo-fresh": "demo",
    "demo-again": "demo",
    "click-standby-p50": "click",
    "click-standby-p99": "click",
    "click-cold": "click",
    "clicks-100-last": "clicks-100",
    "memory-session": "loop-10k",
    "cold-environment": "build",
    "one-package": "build",
    "content-only": "build",
    "same-environment": "build",
    "fresh-worker": "build",
    "planning-50k": "build",
    "cli-version": "cli",
    "cli-help": "cli",
    "cli-list": "cli",
    "webhooks-p99": "webhooks",
    "webhooks-lost": "webhooks",
    "webhooks-memory": "webhooks",
    "proxy-requests": "proxy",
    "proxy-p99": "proxy",
    "proxy-websocket": "proxy",
    "proxy-websocket-busy": "proxy",
    "route-add": "proxy",
    "cluster-click-standby": "cluster",
    "cluster-click-cold": "cluster",
    "cluster-push-content": "cluster",
}


def main() -> int:
    """Run the benchmarks that were named, or all of them."""
    names = list(dict.fromkeys(OF_FIGURE.get(name, name) for name in sys.argv[1:])) or [
        name for name in BENCHES if name not in _ONLY_BY_NAME
    ]
    if unknown := [name for name in names if name not in BENCHES]:
        known = ", ".join([*BENCHES, *OF_FIGURE])
        sys.stderr.write(f"There is no benchmark {unknown[0]!r}. There are: {known}.\n")
        return 2
    figures = [figure for name in names for figure in asyncio.run(_measured(name))]
    table = Table(box=None, padding=(0, 2))
    for column in ("figure", "value", "unit", "peer's value", "ratio", "what was measured"):
        table.add_column(column)
    for figure in figures:
        table.add_row(*figure.cells)
    console = Console(width=160)
    console.print(table)
    for figure in figures:
        sys.stdout.write(f"{figure.line}\n")
    return 0


async def _measured(name: str) -> list[Figure]:
    return await BENCHES[name]()


if __name__ == "__main__":
    sys.exit(main())
