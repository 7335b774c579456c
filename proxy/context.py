"""What the pages are given: everything that they may touch."""

from dataclasses import dataclass
from typing import Protocol

from binder.paths import Paths
from binder.settings import Settings
from binder.store import Store
from proxy.commits import RefResolver
from proxy.routes import RouteKeeper


class Pulse(Protocol):
    """Whether HAProxy lives."""

    async def running_pid(self) -> int:
        """Return its process id.

        Raises: OperatorFault, where it does not answer.
        """


@dataclass(frozen=True)
class ProxyContext:
    """The service's parts that pages need."""

    store: Store
    settings: Settings
    paths: Paths
    haproxy: Pulse
    keeper: RouteKeeper
    resolver: RefResolver
