"""`push-content`: a push that changes only a notebook, from the delivery's receipt to the green status.

The peer does the least that leads to a notebook server with the same change: `podman build --layers` of a
well-ordered Containerfile on the same environment, then `podman run` until it answers for the first time. It neither
fetches, nor checks with a kernel, nor reports.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time

import httpx

from binder.cli.demo import take_port
from binder.containers import engine_environment
from binder.paths import Paths
from binder.process import Command, find_account, run
from binder.settings import read_settings
from tests.bench.figures import Figure
from tests.bench.place import folder
from tests.stage import NOTEBOOK, Stage, running_stage

_ROUNDS = 7
_PEER = "podman-build-run"


async def measure() -> list[Figure]:
    """Push changes, ours and the peer's in turn."""
    ours: list[float] = []
    theirs: list[float] = []
    with folder() as home:
        async with running_stage(home) as stage:
            sha = await stage.push({"index.ipynb": NOTEBOOK, "requirements.txt": "six\n"})
            await stage.final_status(sha)
            peer = _Peer(stage, home)
            await peer.round(0)
            for number in range(1, _ROUNDS + 1):
                ours.append(await _round(stage, number))
                theirs.append(await peer.round(number))
    what = "delivery received → status success; peer: podman build --layers, podman run → first 200"
    return [Figure("push-content", ours, what, _PEER, theirs)]


async def _round(stage: Stage, number: int) -> float:
    await stage.until("select 1 where not exists (select 1 from sessions where state in ('wanted', 'starting'))")
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", f"6 * {number}")})
    status = await stage.final_status(sha)
    ended = time()
    assert status.state == "success", status.description
    newest = "select received_at from deliveries where event = 'push' order by id desc limit 1"
    ((received,),) = stage.rows(newest)
    return ended - datetime.fromisoformat(str(received)).replace(tzinfo=UTC).timestamp()


class _Peer:
    """podman, on the same storage and as the same account."""

    def __init__(self, stage: Stage, home: Path) -> None:
        settings = read_settings()
        self._account = find_account(settings.build_account)
        self._paths = Paths(home / "service", settings.cache_dir)
        self._context = home / "peer"
        self._context.mkdir()
        ((image,),) = stage.rows(
            "select 'localhost/binder:environment-' || json_extract(result, '$.layers[1].key') from builds limit 1"
        )
        text = f"FROM {image}\nCOPY --chown=1000:1000 . /home/jovyan\n"
        (self._context / "Containerfile").write_text(text, encoding="utf-8")

    async def round(self, number: int) -> float:
        """Change the notebook, build, run, and return the time to the first 200."""
        notebook = NOTEBOOK.replace("6 * 7", f"7 * {number}")
        (self._context / "index.ipynb").write_text(notebook, encoding="utf-8")
        port = take_port(0, "")
        began = monotonic()
        await self._podman("build", "--quiet", "--layers", "--tag", "localhost/binder-bench/peer", str(self._context))
        serve = ["jupyter-lab", "--no-browser", "--ip=0.0.0.0", "--IdentityProvider.token="]
        publish = ["--network", "slirp4netns", "--publish", f"127.0.0.1:{port}:8888", "--cgroups", "enabled"]
        await self._podman("run", "--detach", "--name", "bench-peer", *publish, "localhost/binder-bench/peer", *serve)
        try:
            await _answers(f"http://127.0.0.1:{port}/api")
            return monotonic() - began
        finally:
            await self._podman("rm", "--force", "--time", "0", "bench-peer")

    async def _podman(self, *arguments: str) -> None:
        env = engine_environment(self._paths, self._account)
        argv = ["podman", "--log-level", "error", *arguments]
        done = await run(Command(argv, env, self._paths.engine, self._account, outlives=True), timeout_seconds=120)
        assert done.ok, done.output


async def _answers(url: str) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient() as client:
        while True:
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)
