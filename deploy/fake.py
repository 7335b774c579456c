"""An engine for tests: sessions that are words in a table, and images that do what a test says they do."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from binder.errors import OperatorFault
from deploy.engine import Running, SessionSpec


@dataclass(frozen=True)
class FakeImage:
    """An image whose server goes on until it is stopped, or ends by itself with `exit_code`."""

    exit_code: int | None = None
    log: str = ""


@dataclass
class FakeEngine:
    """Runs sessions of the images that it was given, and keeps account of what it was asked."""

    images: Mapping[str, FakeImage]
    start_seconds: float = 0.0
    started: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    _pods: dict[str, Running] = field(default_factory=dict)
    _logs: dict[str, str] = field(default_factory=dict)

    async def start(self, spec: SessionSpec) -> str:
        """Start a session, in place of what there was of it.

        Raises: OperatorFault, where the image is not there.
        """
        self.started.append(spec.id)
        target = f"127.0.0.1:{20_000 + len(self.started)}"
        await asyncio.sleep(self.start_seconds)
        image = self.images.get(spec.image)
        if image is None:
            raise OperatorFault(f"There is no image {spec.image}.")
        self._logs[spec.id] = image.log
        self._pods[spec.id] = Running(alive=True, target=target)
        if image.exit_code is not None:
            self.end(spec.id, exit_code=image.exit_code)
        return target

    def end(self, session_id: str, *, exit_code: int) -> None:
        """Have a session's server end by itself."""
        target = self._pods[session_id].target
        reason = f"The notebook server ended with exit code {exit_code}."
        self._pods[session_id] = Running(alive=False, target=target, exit_code=exit_code, reason=reason)

    async def stop(self, session_id: str) -> None:
        """Remove a session."""
        self.stopped.append(session_id)
        self._pods.pop(session_id, None)
        self._logs.pop(session_id, None)

    async def running(self) -> Mapping[str, Running]:
        """Return what there is."""
        return dict(self._pods)

    async def log_of(self, session_id: str) -> str:
        """Return what its image says."""
        return self._logs.get(session_id, "")
