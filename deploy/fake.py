"""An engine for tests: sessions that are words in a table, and images that do what a test says they do."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from binder.errors import OperatorFault
from deploy.engine import RESTARTS_AT_MOST, Running, ServiceState, SessionSpec
from deploy.service_words import does_not_stay, not_up, said_of_end
from modules.services import Service


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
    specs: dict[str, SessionSpec] = field(default_factory=dict)
    _pods: dict[str, Running] = field(default_factory=dict)
    _logs: dict[tuple[str, str], str] = field(default_factory=dict)

    async def start(self, spec: SessionSpec) -> str:
        """Start a session, in place of what there was of it.

        Raises: OperatorFault, where an image is not there; RepositoryFault, where a service does not come up.
        """
        self.started.append(spec.id)
        self.specs[spec.id] = spec
        target = f"127.0.0.1:{20_000 + len(self.started)}"
        await asyncio.sleep(self.start_seconds)
        image = self.images.get(spec.image)
        if image is None:
            raise OperatorFault(f"There is no image {spec.image}.")
        for service in spec.services.services:
            self._start_service(spec, service)
        self._logs[spec.id, ""] = image.log
        services = {service.name: ServiceState(ready=True) for service in spec.services.services}
        self._pods[spec.id] = Running(alive=True, target=target, services=services)
        if image.exit_code is not None:
            self.end(spec.id, exit_code=image.exit_code)
        return target

    def _start_service(self, spec: SessionSpec, service: Service) -> None:
        image = self.images.get(service.image or spec.image)
        if image is None:
            raise OperatorFault(f"There is no image {service.image} of {service.title}.")
        if image.exit_code is not None:
            raise not_up(does_not_stay(service.title, said_of_end(image.exit_code, False)), image.log)
        self._logs[spec.id, service.name] = image.log

    def end(self, session_id: str, *, exit_code: int) -> None:
        """Have a session's server end by itself."""
        reason = f"The notebook server ended with exit code {exit_code}."
        self._pods[session_id] = replace(self._pods[session_id], alive=False, exit_code=exit_code, reason=reason)

    def end_service(self, session_id: str, name: str, *, exit_code: int) -> None:
        """Have a service end by itself: whoever looks sees it once, and then that it is back, unless it is given up."""
        pod = self._pods[session_id]
        restarts = pod.services[name].restarts
        gave_up = restarts >= RESTARTS_AT_MOST
        state = ServiceState(False, restarts + (not gave_up), said_of_end(exit_code, False), gave_up)
        self._pods[session_id] = replace(pod, services={**pod.services, name: state})

    async def stop(self, session_id: str) -> None:
        """Remove a session."""
        self.stopped.append(session_id)
        self._pods.pop(session_id, None)
        self._logs = {key: log for key, log in self._logs.items() if key[0] != session_id}

    async def running(self) -> Mapping[str, Running]:
        """Return what there is."""
        seen = dict(self._pods)
        for session_id, pod in seen.items():
            services = {name: _after(state) for name, state in pod.services.items()}
            self._pods[session_id] = replace(pod, services=services)
        return seen

    async def log_of(self, session_id: str, service: str = "") -> str:
        """Return what its image says."""
        return self._logs.get((session_id, service), "")


def _after(state: ServiceState) -> ServiceState:
    return state if state.gave_up else ServiceState(ready=True, restarts=state.restarts)
