"""Looks for processes and mounts that should not be there any more."""

import asyncio
import itertools
import os
from contextlib import suppress
from pathlib import Path
from time import monotonic

_numbers = itertools.count(1)


def new_marker() -> str:
    """Return a number of seconds, over a day, that no other process of this machine sleeps for: `sleep MARKER`."""
    return f"{100_000 + os.getpid()}.{next(_numbers):04}"


def processes_with(marker: str) -> list[int]:
    """Return the ids of the processes of this machine that have `marker` as an argument, or in one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if marker.encode() in arguments:
            found.append(int(folder.name))
    return found


async def are_gone(marker: str, *, within_seconds: float = 2.0) -> bool:
    """Whether all processes with `marker` are gone before the time is over."""
    return await _becomes(marker, there=False, within_seconds=within_seconds)


async def are_there(marker: str, *, within_seconds: float = 20.0) -> bool:
    """Whether a process with `marker` is there before the time is over."""
    return await _becomes(marker, there=True, within_seconds=within_seconds)


async def _becomes(marker: str, *, there: bool, within_seconds: float) -> bool:
    until = monotonic() + within_seconds
    while bool(processes_with(marker)) is not there:
        if monotonic() > until:
            return False
        await asyncio.sleep(0.02)
    return True


def all_mounts() -> list[str]:
    """Return what each process of this machine sees mounted, as the kernel writes it."""
    found = []
    for mounts in Path("/proc").glob("[0-9]*/mounts"):
        with suppress(OSError):  # the process went meanwhile
            found.append(mounts.read_text(encoding="utf-8"))
    return found
