"""Calls of podman, as the build account: each bounded in time, and in what it may print."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from binder.containers import engine_environment
from binder.errors import OperatorFault
from binder.paths import Paths
from binder.process import Account, Command, Completed, OutputTooLongError, TimedOutError, capture, run

TIMEOUT_SECONDS = 60.0
_LOG_LINES = 40
_LONGEST_LOG = 4000
_LISTING_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4)
_LONGEST_LIST_BYTES = 2**24


class Podman:
    """Podman in the storage of one service. What it starts in `cgroups` stays in them."""

    def __init__(self, paths: Paths, account: Account) -> None:
        self._paths = paths
        self._account = account

    async def call(
        self,
        *argv: str,
        stdin: bytes | None = None,
        cgroups: Sequence[Path] = (),
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> Completed:
        """Run one command of podman's to its end.

        Raises: OperatorFault, where it does not end in time.
        """
        try:
            return await run(self._command(argv, cgroups), timeout_seconds=timeout_seconds, stdin=stdin)
        except TimedOutError as error:
            raise OperatorFault(f"`podman {argv[0]}` did not end within {error.seconds:g} s.") from error

    async def execute(
        self, container: str, argv: Sequence[str], *, cgroups: Sequence[Path], timeout_seconds: float
    ) -> Completed | None:
        """Run a command inside of a container; None, where it did not end in time."""
        try:
            command = self._command(["exec", container, *argv], cgroups)
            return await run(command, timeout_seconds=timeout_seconds)
        except TimedOutError:
            return None

    async def containers(self) -> list[dict[str, Any]]:
        """Return podman's account of all containers, those of other services included.

        Raises: OperatorFault.
        """
        reason = ""
        for pause in _LISTING_PAUSES_SECONDS:
            try:
                return await self._listed()
            except TimedOutError as error:
                reason = f"it did not end within {error.seconds:g} s"
                break
            except (OutputTooLongError, ValueError) as error:
                # To podman it is an error that another service's container goes while it lists: look again.
                reason = str(error)
            await asyncio.sleep(pause)
        raise OperatorFault(f"podman does not say what is running: {reason}")

    async def log_of(self, container: str) -> str:
        """Return the last lines that a container wrote, or an empty text."""
        done = await self.call("logs", "--tail", str(_LOG_LINES), container)
        return done.output[-_LONGEST_LOG:] if done.ok else ""

    async def _listed(self) -> list[dict[str, Any]]:
        command = self._command(["ps", "--all", "--pod", "--format", "json"])
        code, output = await capture(command, timeout_seconds=TIMEOUT_SECONDS, most_bytes=_LONGEST_LIST_BYTES)
        if code:
            raise ValueError(last_line(output.decode(errors="replace")))
        listed: list[dict[str, Any]] = json.loads(output)
        return listed

    def _command(self, argv: Sequence[str], cgroups: Sequence[Path] = ()) -> Command:
        return Command(
            ["podman", "--log-level", "error", *argv],
            env=engine_environment(self._paths, self._account),
            cwd=self._paths.engine,
            account=self._account,
            cgroups=cgroups,
            outlives=True,
        )


def last_line(output: str) -> str:
    """Return the last line that says something."""
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it gave no reason"
