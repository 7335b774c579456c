"""What the pages are given: everything that they may touch."""

from dataclasses import dataclass, field
from typing import Protocol

from binder.figures import Figures
from binder.paths import Paths
from binder.settings import Settings
from binder.store import Store
from proxy.commits import RefResolver
from proxy.draining import Draining
from proxy.launch_limits import LaunchLimits
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


class SignIn(Protocol):
    """Visitors' sign-in with GitHub, and what GitHub shows them. `visitor_id` is the number of a visitor's row."""

    @property
    def is_open(self) -> bool:
        """Whether people can sign in."""

    def address(self, state: str, challenge: str) -> str:
        """Return the page where GitHub asks a person; it sends them back with `state`. `challenge` is PKCE's S256.

        Raises: VisitorFault, where nobody can sign in.
        """

    async def sign_in(self, code: str, verifier: str) -> int:
        """Return the visitor that GitHub sent back with `code`.

        Raises: BinderError.
        """

    async def sees(self, visitor_id: int, full_name: str) -> int | None:
        """Return GitHub's number of a repository, None where it shows none of that name to the visitor.

        Raises: WorldFault, where GitHub does not answer.
        """

    async def commit(self, visitor_id: int, full_name: str, ref: str) -> str | None:
        """Return the sha of a branch, a tag or HEAD, None where GitHub shows no such thing to the visitor.

        Raises: WorldFault, where GitHub does not answer.
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
    sign_in: SignIn
    queue: Queue = field(default_factory=Queue)
    figures: Figures = field(default_factory=Figures)
    draining: Draining = field(default_factory=Draining)
    limits: LaunchLimits = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "limits", LaunchLimits(self.settings.launches_per_hour))
