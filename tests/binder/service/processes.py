"""Parts of a service in processes of their own, on one PostgreSQL and one cluster: started, stopped, killed, paused."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from binder.cli.child import running_child
from binder.errors import OperatorFault
from binder.paths import Paths
from binder.settings import read_settings
from binder.watchdog import EXIT_CODE
from proxy.runtime import RuntimeApi
from tests.proxy.conftest import free_port


@dataclass(frozen=True)
class PartProcess:
    """A part of a service that runs in `home`."""

    home: Path
    url: str
    process: asyncio.subprocess.Process

    @property
    def table(self) -> RuntimeApi:
        """A proxy's HAProxy."""
        return RuntimeApi(Paths(self.home / "state", self.home).run / "haproxy" / "admin.sock")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.process.pid, number)

    async def ended(self, *, within_seconds: float = 30) -> int:
        """Wait for its end, and return how it ended."""
        async with asyncio.timeout(within_seconds):
            return await self.process.wait()

    def events(self) -> list[dict[str, Any]]:
        """Return what it logged so far."""
        lines = (self.home / "log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def logged(self, event: str, *, within_seconds: float = 30) -> dict[str, Any]:
        """Wait until it has logged an event, and return that."""
        async with asyncio.timeout(within_seconds):
            while True:
                for one in self.events():
                    if one["event"] == event:
                        return one
                await asyncio.sleep(0.05)


@asynccontextmanager
async def running_part(
    part: str, home: Path, settings: Mapping[str, str], *, port: int | None = None
) -> AsyncIterator[PartProcess]:
    """Run a part in a new folder, from when it answers; it may be ended by whatever the block does to it."""
    listen = f"127.0.0.1:{port or free_port()}"
    url = f"http://{listen}"
    home.mkdir(mode=0o711)
    home.chmod(0o711)
    environment = {
        "BINDER_REGISTRY": "127.0.0.1:1/binder",
        "BINDER_URL": url,
        **settings,
        "BINDER_ENGINE": "kubernetes",
        "BINDER_STATE_DIR": str(home / "state"),
        "BINDER_CACHE_DIR": str(read_settings().cache_dir if part == "controller" else home / "cache"),
        "BINDER_LISTEN": listen,
    }
    process: asyncio.subprocess.Process | None = None
    try:
        async with running_child(url, environment, home / "log", part=part, ephemeral=False) as process:
            try:
                yield PartProcess(home, url, process)
            finally:
                if process.returncode is None:
                    process.send_signal(signal.SIGCONT)
    except OperatorFault:
        if process is None or process.returncode != EXIT_CODE:  # ended by its own watchdog, as a test may want it
            raise
