"""What the pool asks of an engine: the four things that podman on one machine and Kubernetes on a cluster both do.

Owns the words; `deploy.podman` is an engine, `deploy.fake` one for tests, and one contract suite runs against both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from modules.services import NO_SERVICES, Services

RESTARTS_AT_MOST = 5
"""How often a service that ends is started again within one session, before it is given up."""


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
    services: Services = NO_SERVICES
    """What runs beside its notebook; `memory_bytes`, `cpus` and `pids` are the notebook's alone."""
    seed_seconds: float = 300.0
    """How long each seed of its services may take."""


@dataclass(frozen=True)
class ServiceState:
    """What a service of a session is at. `reason` says, in a sentence for a visitor, why it is not ready.

    `gave_up`: it ended too often. A cluster goes on trying all the same, at long intervals.
    """

    ready: bool
    restarts: int = 0
    reason: str | None = None
    gave_up: bool = False


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
    services: Mapping[str, ServiceState] = field(default_factory=dict)
    """What runs beside its notebook: name → what it is at. A session may go on without."""


class Engine(Protocol):
    """Runs sessions of one service; those of others that share the machine are not its own."""

    async def start(self, spec: SessionSpec) -> str:
        """Start a session's containers and return its target, once its services can be used and its seeds are done; its
        notebook server may take a while longer.

        Raises: RepositoryFault, where a service does not come up or a seed fails; BinderError; then nothing of it is
        left.
        """

    async def stop(self, session_id: str) -> None:
        """Remove all that there is of a session, if there is anything."""

    async def running(self) -> Mapping[str, Running]:
        """Return what there is: session id → what it is at. A session that ended stays until it is stopped."""

    async def log_of(self, session_id: str, service: str = "") -> str:
        """Return the last lines that a session's notebook server wrote, or a service of it; or an empty text."""
