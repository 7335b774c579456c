"""What stands in for the proxy's neighbours: each keeps to the interface that it is named for."""

from collections.abc import Collection, Mapping
from typing import Any

from binder.errors import OperatorFault

SAID_BY_A_SESSION = "one \x1b[31mred\x1b[0m\x1b]52;c;cm0gLXJmIH4=\x07\n\x1b[2J\x1b]0;bash\x1b\\10 %\rtwo\x08\x9b\n"
"""What a hostile notebook server prints: colours, and commands to a terminal."""


class FakeEngineViews:
    """The `EngineViews` of a service whose only session prints `SAID_BY_A_SESSION`."""

    async def nodes(self) -> list[dict[str, Any]] | None:
        """Return nothing: what this machine has is told by others."""
        return None

    async def log_of(self, session_id: str, service: str = "") -> str:
        """Return what it printed."""
        return SAID_BY_A_SESSION


class FakeRouteTable:
    """A `RouteTable` and a `Pulse` in memory."""

    def __init__(self) -> None:
        self.routes: dict[str, str] = {}
        self.idle: dict[str, float] = {}
        self.is_up = True

    async def set_routes(self, routes: Mapping[str, str]) -> None:
        """Send the requests of each key to its target."""
        self._answer()
        self.routes |= routes

    async def del_routes(self, keys: Collection[str]) -> None:
        """Route nothing by these keys any more."""
        self._answer()
        for key in keys:
            self.routes.pop(key, None)

    async def show_routes(self) -> dict[str, str]:
        """Return key → target."""
        self._answer()
        return dict(self.routes)

    async def idle_seconds(self, session_id: str | None = None) -> dict[str, float]:
        """Return session id → seconds since it was used."""
        self._answer()
        return {key: idle for key, idle in self.idle.items() if session_id in {None, key}}

    async def running_pid(self) -> int:
        """Return a process id."""
        self._answer()
        return 1

    def _answer(self) -> None:
        if not self.is_up:
            raise OperatorFault("HAProxy does not answer on its runtime socket.")


class FakeResolver:
    """A `RefResolver` that knows some refs: (clone URL, ref) → sha."""

    def __init__(self, refs: Mapping[tuple[str, str], str] | None = None) -> None:
        self.refs = dict(refs or {})
        self.asked: list[tuple[str, str]] = []

    async def resolve(self, clone_url: str, ref: str) -> str | None:
        """Return the sha of a ref."""
        self.asked.append((clone_url, ref))
        return self.refs.get((clone_url, ref))


class FakeLog:
    """A `Log` in memory."""

    def __init__(self, data: bytes = b"") -> None:
        self._data = data

    async def size(self) -> int:
        """Return how many bytes there are."""
        return len(self._data)

    async def read(self, offset: int, most_bytes: int) -> bytes:
        """Return what stands from an offset on."""
        return self._data[offset : offset + most_bytes]
