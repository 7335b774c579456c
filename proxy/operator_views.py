"""What operators are told that no row holds: what an engine has. Which one that is, whoever wires the service knows."""

from typing import Any, Protocol


class EngineViews(Protocol):
    """Looks at the engine of a service."""

    async def nodes(self) -> list[dict[str, Any]] | None:
        """Return what sessions run on (`deploy.capacity`); None, where that cannot be seen from here."""

    async def log_of(self, session_id: str, service: str = "") -> str:
        """Return the last lines of a session's notebook server, or of a service of it.

        Raises: OperatorFault, where there is no engine to be asked.
        """
