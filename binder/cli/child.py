"""The service in a process of its own, for whoever plays operator: the demo, the tests and the benchmarks."""

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from binder.errors import OperatorFault
from binder.process import Command, end_process, lines_of, spawn

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_KEPT_LINES = 20


@asynccontextmanager
async def running_child(
    url: str, environment: Mapping[str, str], log: Path, *, part: str = "all", ephemeral: bool = True
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `binder serve`, or a `part` of it, while the block runs, from when it answers at `url`; `log` gets its log.

    `environment` is laid over this process's own. With `ephemeral`, its sessions end with it.
    Raises: OperatorFault, with its own words where it has some.
    """
    argv = [sys.executable, "-m", "binder", "serve", f"--part={part}", *(["--ephemeral"] if ephemeral else [])]
    async with spawn(Command(argv, {**os.environ, **environment})) as process:
        said: deque[str] = deque(maxlen=_KEPT_LINES)
        keeping = asyncio.create_task(_keep(process, log, said))
        try:
            await _until_it_answers(process, keeping, url, said)
            yield process
        finally:
            await end_process(process, grace_seconds=_STOP_SECONDS)
            await keeping
        if process.returncode and process.returncode > 0:
            raise OperatorFault(f"The service did not stop cleanly. {_last_words(said)}")


async def _keep(process: asyncio.subprocess.Process, log: Path, said: deque[str]) -> None:
    assert process.stdout  # noqa: S101 - `spawn` asks for a pipe
    with log.open("a", encoding="utf-8") as file:
        async for line in lines_of(process.stdout):
            said.append(line)
            file.write(line + "\n")
            file.flush()


async def _until_it_answers(
    process: asyncio.subprocess.Process, keeping: asyncio.Task[None], url: str, said: deque[str]
) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS), httpx.AsyncClient(timeout=5) as client:
            while process.returncode is None:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{url}/health")).status_code == 200:
                        return
                await asyncio.sleep(_POLL_SECONDS)
            await keeping
            raise OperatorFault(f"The service did not start. {_last_words(said)}")
    except TimeoutError as error:
        raise OperatorFault(f"The service did not answer at {url} within {_START_SECONDS:g} s.") from error


def _last_words(said: deque[str]) -> str:
    own = next((line.removeprefix("binder: ") for line in reversed(said) if line.startswith("binder: ")), None)
    return own or f"The last that it said: {said[-1] if said else 'nothing'}"
