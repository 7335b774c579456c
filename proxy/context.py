"""What the pages are given: everything that they may touch."""

from dataclasses import dataclass, field
from typing import Protocol

from binder.paths import Paths
from binder.settings import Settings
from binder.store import Store
from proxy.commits import RefResolver
from proxy.routes import RouteKeeper
from proxy.waiting import Queue


class Pulse(Protocol):
    """Whether HAProxy lives."""

    async def running_pid(self) -> int:
        """Return its process id.

        Raises: OperatorFault, where it does not answer.
        """


class SetUp(Protocol):
    """The set-up of the App, in one browser, by whoever has the operator's code."""

    @property
    def is_closed(self) -> bool:
        """Whether there is an App already."""

    def begin(self, code: str) -> str | None:
        """Return the token of the browser that brought the code, or None where that is not the code."""

    def state_of(self, token: str | None) -> str | None:
        """Return what GitHub is to bring back to the browser that holds `token`, or None where it has no turn."""

    async def finish(self, token: str | None, state: str, code: str) -> str:
        """Have the App whose code GitHub sent, and return where it is installed.

        Raises: BinderError.
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
    set_up: SetUp
    queue: Queue = field(default_factory=Queue)
