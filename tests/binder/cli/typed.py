"""Runs `binder` as an operator does, in a process of its own."""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

_OURS = ("BINDER_URL", "BINDER_TOKEN", "BINDER_DATABASE_URL", "BINDER_MODULES", "BINDER_TEMPLATES")


class Ended(NamedTuple):
    """How a command ended: its exit code, what it printed, and what it complained of."""

    code: int | None
    output: str
    complaint: str


async def typed(*arguments: str, env: Mapping[str, str], seconds: float = 120) -> Ended:
    """Run a command to its end; nobody is at its keyboard."""
    around = {name: value for name, value in os.environ.items() if name not in _OURS}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "binder", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**around, "COLUMNS": "200", **env},
    )
    try:
        async with asyncio.timeout(seconds):
            output, complaint = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Ended(process.returncode, output.decode(), complaint.decode())
