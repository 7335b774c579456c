"""What the pool asks of an engine: the four things that podman on one machine and Kubernetes on a cluster both do.

Owns the words; `deploy.podman` is an engine, `deploy.fake` one for tests, and one contract suite runs against both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class SessionSpec:
    """What one session is to run, and the most that it may use."""

    id: str
    image: str
    token: str = field(repr=False)
    memory_bytes: int
    cpus: float
    pids: int
    gpus: int = 0


@dataclass(frozen=True)
class Running:
    """What an engine has of a session. `reason` says, in a sentence for a visitor, why it is not alive any more.

    `taken`: it was taken away from outside, through no fault of its own: another one may do well.
    """

    alive: bool
    target: str | None = None
    """Where its notebook server listens, `host:port`."""
    exit_code: int | None = None
    reason: str | None = None
    taken: bool = False


class Engine(Protocol):
    """Runs sessions of one service; those of others that share the machine are not its own."""

    async def start(self, spec: SessionSpec) -> str:
        """Start a session's containers and return its target; its notebook server may take a while longer.

        Raises: BinderError; then nothing of it is left.
        """

    async def stop(self, session_id: str) -> None:
        """Remove all that there is of a session, if there is anything."""

    async def running(self) -> Mapping[str, Running]:
        """Return what there is: session id → what it is at. A session that ended stays until it is stopped."""

    async def log_of(self, session_id: str) -> str:
        """Return the last lines that a session's notebook server wrote, or an empty text."""
