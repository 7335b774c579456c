"""The services of sessions under podman: brought up with their session, filled once, and started again when they end.

Podman keeps the truth of what runs, and a label of each container says what its services need to be known for. Only how
often one was started again is remembered here: who comes after us begins to count anew.
"""

import asyncio
import json
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from binder.cgroups import Cgroups
from binder.errors import BinderError
from binder.log import logger
from deploy.engine import RESTARTS_AT_MOST, ServiceState, SessionSpec
from deploy.podman_calls import Podman, last_line
from deploy.service_manifests import LABEL, with_helpers
from deploy.service_words import does_not_stay, failed_seed, not_up, said_of_end, slow_seed, too_slow
from modules.services import Seed

log = logger(__name__)

_POLL_SECONDS = 0.1
_LONGEST_POLL_SECONDS = 1.0
_HEALTH_SECONDS = 10.0
_ENDED = frozenset({"exited", "stopped"})


class _Known(NamedTuple):
    """What is to be known of a service while it runs."""

    title: str
    health: tuple[str, ...]
    seconds: float


class PodmanServices:
    """Keeps the services of sessions up. `pods` are named by sessions' ids, through `pod_of`."""

    def __init__(self, podman: Podman, cgroups: Cgroups) -> None:
        self._podman = podman
        self._cgroups = cgroups
        self._coming: set[str] = set()
        self._restarts: dict[tuple[str, str], int] = {}
        self._mending: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def bring_up(self, spec: SessionSpec, pod: str) -> None:
        """Wait until all services of a session can be used, and run its seeds.

        Raises: RepositoryFault, with the last lines of what is at fault; OperatorFault.
        """
        self._coming.add(spec.id)
        try:
            await _all_of(
                *(
                    self._come_up(spec.id, pod, one.name, _Known(one.title, one.health, one.seconds))
                    for one in spec.services.services
                )
            )
            entry_point = await self._entry_point(spec.image) if spec.services.seeds else []
            for seed in spec.services.seeds:
                await self._seed(spec, f"{pod}-notebook", [*entry_point, *with_helpers(seed.command)], seed)
        finally:
            self._coming.discard(spec.id)

    async def forget(self, session_id: str) -> None:
        """Leave the services of a session alone, that is about to be removed."""
        mending = [self._mending.pop(key) for key in list(self._mending) if key[0] == session_id]
        for task in mending:
            task.cancel()
        await asyncio.gather(*mending, return_exceptions=True)
        self._restarts = {key: count for key, count in self._restarts.items() if key[0] != session_id}

    async def close(self) -> None:
        """Give up what is being started again."""
        for session_id in {key[0] for key in self._mending}:
            await self.forget(session_id)

    def seen(self, session_id: str, pod: str, name: str, container: Mapping[str, Any], *, mend: bool) -> ServiceState:
        """Return what a service is at, by podman's account of its container; one that ended is started again, where the
        session goes on (`mend`).
        """
        key, state = (session_id, name), container["State"]
        restarts = self._restarts.get(key, 0)
        if session_id in self._coming or key in self._mending:
            return ServiceState(ready=False, restarts=restarts, reason=self._reason(session_id, container))
        if state not in _ENDED:
            return ServiceState(ready=state == "running", restarts=restarts)
        gave_up = restarts >= RESTARTS_AT_MOST
        known = _known_of(container, name)
        if mend and known and not gave_up:
            self._restarts[key] = restarts = restarts + 1
            log.warning("service_ended", session=session_id, service=name, restarts=restarts)
            task = asyncio.create_task(self._mend(session_id, pod, name, known), name=f"mend-{session_id}-{name}")
            self._mending[key] = task
            task.add_done_callback(lambda done: self._mended(key, done))
        return ServiceState(False, restarts, self._reason(session_id, container), gave_up)

    def _reason(self, session_id: str, container: Mapping[str, Any]) -> str | None:
        if container["State"] not in _ENDED:
            return None
        return said_of_end(int(container["ExitCode"]), self._cgroups.ran_out_of_memory(session_id))

    def _mended(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        if self._mending.get(key) is task:
            del self._mending[key]
        if not task.cancelled() and (error := task.exception()):
            log.error("service_mending_broke", session=key[0], service=key[1], exc_info=error)

    async def _mend(self, session_id: str, pod: str, name: str, known: _Known) -> None:
        """Start a service again, and wait until it can be used; one that cannot is ended, and found again so."""
        container = f"{pod}-{name}"
        try:
            await self._start(session_id, container)
            if not await self._until_healthy(session_id, container, known):
                await self._podman.call("stop", "--time", "0", container)
        except BinderError as error:
            log.warning("service_not_mended", session=session_id, service=name, reason=error.message)

    async def _come_up(self, session_id: str, pod: str, name: str, known: _Known) -> None:
        ended: int | None = None
        container, until = f"{pod}-{name}", time.monotonic() + known.seconds
        for _ in range(RESTARTS_AT_MOST + 1):
            left = known._replace(seconds=until - time.monotonic())
            if await self._until_healthy(session_id, container, left):
                return
            ended = await self._end_of(container)
            if ended is None or time.monotonic() >= until:
                break
            await self._start(session_id, container)
        sentence = too_slow(known.title, known.seconds)
        if ended is not None:
            said = said_of_end(ended, self._cgroups.ran_out_of_memory(session_id))
            sentence = does_not_stay(known.title, said)
        raise not_up(sentence, await self._podman.log_of(container))

    async def _until_healthy(self, session_id: str, container: str, known: _Known) -> bool:
        """Wait until a service can be used; False: it ended, or did not within its time."""
        until, pause = time.monotonic() + known.seconds, _POLL_SECONDS
        groups = self._cgroups.groups_of(session_id)
        while True:
            done = await self._podman.execute(container, known.health, cgroups=groups, timeout_seconds=_HEALTH_SECONDS)
            if done and done.ok:
                return True
            if time.monotonic() >= until or await self._end_of(container) is not None:
                return False
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_POLL_SECONDS)

    async def _end_of(self, container: str) -> int | None:
        """Return the exit code of a container that ended; None: it runs."""
        done = await self._podman.call("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", container)
        state, _, code = last_line(done.output).partition(" ")
        return int(code) if done.ok and state in _ENDED else None

    async def _start(self, session_id: str, container: str) -> None:
        await self._podman.call("start", container, cgroups=self._cgroups.groups_of(session_id))

    async def _entry_point(self, image: str) -> list[str]:
        """Return what an image runs its commands with: it may activate an environment."""
        done = await self._podman.call("image", "inspect", "--format", "{{json .Config.Entrypoint}}", image)
        with suppress(ValueError):
            return list(json.loads(last_line(done.output)) or ()) if done.ok else []
        return []

    async def _seed(self, spec: SessionSpec, container: str, command: Sequence[str], seed: Seed) -> None:
        groups, seconds = self._cgroups.groups_of(spec.id), spec.seed_seconds
        done = await self._podman.execute(container, command, cgroups=groups, timeout_seconds=seconds)
        title = spec.services.titles.get(seed.module, seed.module)
        if done is None:
            raise slow_seed(title, seed.file, seconds)
        if not done.ok:
            raise failed_seed(title, seed.file, done.returncode, done.output)


def _known_of(container: Mapping[str, Any], name: str) -> _Known | None:
    with suppress(ValueError, LookupError, TypeError):
        known = json.loads((container.get("Labels") or {})[LABEL])[name]
        return _Known(str(known["title"]), tuple(known["health"]), float(known["seconds"]))
    return None


async def _all_of(*work: Coroutine[None, None, None]) -> None:
    """Do all of it at once; the first that fails ends the others."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
