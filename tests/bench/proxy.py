"""`proxy-requests`, `proxy-p99`, `proxy-websocket`, `route-add`: the way to sessions, beside its peer.

Messages come as a notebook's do, each on its own; `proxy-websocket-busy` is of those that come without a pause.

Ours checks the token of each request, the peer none; both have the same routes. Each has a core of its own, and what
loads it and what answers behind it share another one.
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from time import monotonic

from websockets.asyncio.client import ClientConnection, connect

from binder.names import new_session_id, new_token
from binder.process import Command, lines_of, spawn
from proxy.runtime import RuntimeApi
from tests.bench.figures import Figure
from tests.bench.place import folder
from tests.bench.proxies import PEER, Proxy, our_proxy, peer_proxy, two_cores, upstream
from tests.proxy.upstreams import echo

_ROUTES = 20_000
_ADDED = 10_000
_ADDED_ALONE = 200
_ROUNDS = 3
_SECONDS = 5
_CONNECTIONS = 64
_SOCKETS = 32
_MESSAGE = "x" * 200
# A progress bar that moves.
_NOTEBOOK_MS = 50
_GENTLE_MS = 5
_LONGEST_SECONDS = 600
_SCRIPT = Path(__file__).with_name("load.lua")
_RESULT = "RESULT "
_SPARE_SECONDS = 30.0


@dataclass(frozen=True)
class Load:
    """What wrk saw; `p99` in seconds."""

    requests_per_second: float
    p99: float
    failed: int


async def measure() -> list[Figure]:
    """Load both proxies in turn, with requests and with messages of WebSockets; then add routes to ours."""
    with folder() as home, two_cores() as cores:
        async with upstream(home) as target, echo() as echoing:
            routes = {f"{new_session_id()}/{new_token()}": target for _ in range(_ROUTES)}
            talking = next(iter(routes))
            routes[talking] = echoing
            asked = _written(home / "routes", list(routes)[1:])
            async with our_proxy(home, cores, routes) as (ours, runtime), peer_proxy(cores, routes) as (peer, added):
                return [
                    *await _requests(asked, ours, peer),
                    await _messages("proxy-websocket", talking, ours, peer, pause_ms=_NOTEBOOK_MS),
                    await _messages("proxy-websocket-busy", talking, ours, peer, pause_ms=0),
                    *await _additions(asked, ours, runtime, target, added),
                ]


async def _requests(asked: Path, ours: Proxy, peer: Proxy) -> list[Figure]:
    pairs = [(await _load(ours, asked), await _load(peer, asked)) for _ in range(_ROUNDS)]
    mine, theirs = zip(*pairs, strict=True)
    if failed := sum(load.failed for load in (*mine, *theirs)):
        raise AssertionError(f"{failed} requests failed")
    what = f"{_ROUTES:,} routes, {_CONNECTIONS} connections, a core each, each token checked (the peer checks none)"
    return [
        Figure(
            "proxy-requests",
            [load.requests_per_second for load in mine],
            f"requests of 1 kB: {what}",
            PEER,
            [load.requests_per_second for load in theirs],
            unit="1/s",
            more_is_better=True,
        ),
        Figure(
            "proxy-p99",
            [1e3 * load.p99 for load in mine],
            "the same: request → answer, 99th percentile",
            PEER,
            [1e3 * load.p99 for load in theirs],
            unit="ms",
        ),
    ]


async def _messages(name: str, key: str, ours: Proxy, peer: Proxy, *, pause_ms: int) -> Figure:
    pairs = [
        (await _cpu_of_a_message(ours, key, pause_ms), await _cpu_of_a_message(peer, key, pause_ms))
        for _ in range(_ROUNDS)
    ]
    mine, theirs = zip(*pairs, strict=True)
    pace = f"every {pause_ms} ms" if pause_ms else "without a pause"
    what = (
        f"WebSocket messages of {len(_MESSAGE)} B, {pace} on {_SOCKETS} connections, and echoes: the proxy's CPU each"
    )
    return Figure(name, mine, what, PEER, theirs, unit="us")


async def _additions(
    asked: Path, ours: Proxy, runtime: RuntimeApi, target: str, peers_seconds: list[float]
) -> list[Figure]:
    alone = [await _add(runtime, target) for _ in range(_ADDED_ALONE)]
    async with _wrk(ours, asked, seconds=_LONGEST_SECONDS, pause_ms=_GENTLE_MS) as process:
        busy = [await _add(runtime, target) for _ in range(_ADDED)]
        process.send_signal(signal.SIGINT)  # it prints what it has seen
        load = await _load_of(process)
    if load.failed:
        raise AssertionError(f"{load.failed} requests failed while routes were added")
    what = f"{_ADDED:,} in a row, while {load.requests_per_second:.0f} requests a second flow, of which none fails"
    times_alone, times_busy = [1e3 * one for one in alone], [1e3 * one for one in busy]
    return [
        Figure(
            "route-add",
            times_alone,
            f"one route more than {_ROUTES:,}",
            PEER,
            [1e3 * one for one in peers_seconds[-_ADDED_ALONE:]],
            unit="ms",
        ),
        Figure("route-add-busy", times_busy, what, unit="ms"),
        Figure("route-add-busy-p99", [quantiles(times_busy, n=100)[98]], "the same, 99th percentile", unit="ms"),
    ]


async def _add(runtime: RuntimeApi, target: str) -> float:
    key = f"{new_session_id()}/{new_token()}"
    began = monotonic()
    await runtime.set_routes({key: target})
    return monotonic() - began


async def _load(proxy: Proxy, asked: Path) -> Load:
    async with _wrk(proxy, asked, seconds=_SECONDS, pause_ms=0) as process:
        return await _load_of(process)


@asynccontextmanager
async def _wrk(proxy: Proxy, asked: Path, *, seconds: int, pause_ms: int) -> AsyncIterator[asyncio.subprocess.Process]:
    argv = ["wrk", "--threads=1", f"--connections={_CONNECTIONS}", f"--duration={seconds}s", "--timeout=10s"]
    argv += [f"--script={_SCRIPT}", proxy.url, "--", str(asked), str(pause_ms)]
    async with spawn(Command(argv)) as process:
        yield process


async def _load_of(process: asyncio.subprocess.Process) -> Load:
    """Return what wrk saw, once it has ended."""
    assert process.stdout
    async with asyncio.timeout(_SECONDS + _SPARE_SECONDS):
        said = [line async for line in lines_of(process.stdout)]
    for line in said:
        if line.startswith(_RESULT):
            seen = json.loads(line.removeprefix(_RESULT))
            per_second = seen["requests"] / seen["microseconds"] * 1e6
            return Load(per_second, seen["p99_microseconds"] / 1e6, seen["failed"])
    raise AssertionError(f"wrk did not say what it saw: {said}")


async def _cpu_of_a_message(proxy: Proxy, key: str, pause_ms: int) -> float:
    """Return the microseconds that a proxy works for each message, on connections that send one after the other."""
    session, _, token = key.partition("/")
    address = f"{proxy.url.replace('http:', 'ws:')}/s/{session}/api/kernels/1/channels"
    async with AsyncExitStack() as stack:
        cookie = {"Cookie": f"binder-session={token}"}
        sockets = [
            await stack.enter_async_context(connect(address, additional_headers=cookie, compression=None))
            for _ in range(_SOCKETS)
        ]
        before, until = proxy.cpu_seconds(), monotonic() + _SECONDS
        echoes = sum(await asyncio.gather(*(_talk(socket, until, pause_ms / 1e3) for socket in sockets)))
        return (proxy.cpu_seconds() - before) / (2 * echoes) * 1e6


async def _talk(socket: ClientConnection, until: float, pause: float) -> int:
    """Send a message and wait for its echo, again and again; return how often."""
    echoes = 0
    while monotonic() < until:
        await socket.send(_MESSAGE)
        if await socket.recv() != _MESSAGE:
            raise AssertionError("a message came back as another one")
        echoes += 1
        await asyncio.sleep(pause)
    return echoes


def _written(path: Path, keys: list[str]) -> Path:
    path.write_text("".join(key.replace("/", " ") + "\n" for key in keys))
    return path
