"""Sessions as rootless containers on this machine, through podman's `kube play`.

Owns the pods of one service (`instance`), their ports and their control groups. Podman keeps the truth about them:
nothing here is remembered between two calls, but for the ports that are being handed out.
"""

import asyncio
import json
import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from binder.cgroups import Allowance, Cgroups, Limits
from binder.errors import OperatorFault
from binder.names import is_session_id
from binder.paths import Paths
from binder.process import Account, Completed
from binder.uses import mark_used
from deploy.engine import Running, ServiceState, SessionSpec
from deploy.manifests import SERVER_PORT, pod_name, session_manifest
from deploy.podman_calls import Podman, last_line
from deploy.podman_services import PodmanServices
from deploy.service_manifests import is_of_this_machine

_PULL_SECONDS = 600.0
_SHORTEST_SECRET = 16
_ATTEMPTS = 5
_REMOVAL_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6)


_NOT_STARTED = Running(alive=False, reason="The container did not start.")


class PodmanEngine:
    """Runs sessions with podman, as the build account, in the storage that the builds fill."""

    def __init__(self, paths: Paths, account: Account, limits: Limits) -> None:
        self.instance = paths.instance
        self.limits = limits
        self._paths = paths
        self._podman = Podman(paths, account)
        self._cgroups = Cgroups(limits, self.instance)
        self._services = PodmanServices(self._podman, self._cgroups)
        self._ports: set[int] = set()

    async def start(self, spec: SessionSpec) -> str:
        """Start a session's pod and return its target, once its services can be used and its seeds are done.

        Raises: RepositoryFault, where a service does not come up or a seed fails; OperatorFault; then nothing of it is
        left.
        """
        if spec.gpus:
            raise OperatorFault("Sessions on this machine have no GPUs. Set BINDER_SESSION_GPUS_AT_MOST to 0.")
        await mark_used(self._paths, [spec.image, *(one.image for one in spec.services.services if one.image)])
        await self._bring(spec.image)
        await self._bring_services(spec)
        target = await self._start(spec)
        if spec.services.services or spec.services.seeds:
            try:
                await self._services.bring_up(spec, pod_name(self.instance, spec.id))
            except BaseException:
                await self.stop(spec.id)
                raise
        return target

    async def close(self) -> None:
        """Give up what is being done to services; sessions go on."""
        await self._services.close()

    async def _start(self, spec: SessionSpec) -> str:
        for attempt in range(1, _ATTEMPTS + 1):
            with _reserved_port(self._ports) as port:
                try:
                    done = await self._play(spec, port)
                except BaseException:
                    await self.stop(spec.id)
                    raise
            if done.ok:
                return f"127.0.0.1:{port}"
            await self.stop(spec.id)
            if attempt == _ATTEMPTS or not is_worth_another_try(done.output):
                reason = without_secrets(last_line(done.output), spec)
                raise OperatorFault(f"podman could not start the session: {reason}")
        raise AssertionError("the last attempt returns or raises")

    async def _bring(self, image: str) -> None:
        """See that an image of a registry is here: bringing it may take longer than a start should.

        Raises: OperatorFault.
        """
        if is_of_this_machine(image) or (await self._podman.call("image", "exists", image)).ok:
            return
        done = await self._podman.call("pull", "--quiet", image, timeout_seconds=_PULL_SECONDS)
        if not done.ok:
            raise OperatorFault(f"podman could not bring the image from its registry: {last_line(done.output)}")

    async def _bring_services(self, spec: SessionSpec) -> None:
        for image, title in {one.image: one.title for one in spec.services.services if one.image}.items():
            try:
                await self._bring(image)
                is_here = (await self._podman.call("image", "exists", image)).ok
            except OperatorFault as fault:
                raise OperatorFault(f"The image of {title} is not to be had: {fault.message}") from fault
            if not is_here:
                raise OperatorFault(f"The image of {title} is not on this machine any more. Build the commit again.")

    async def _play(self, spec: SessionSpec, port: int) -> Completed:
        groups = self._cgroups.make(spec.id, allowance_of(spec))
        manifest = json.dumps(session_manifest(spec, instance=self.instance, host_port=port)).encode()
        # No address of the host's loopback can be reached from inside: that is slirp4netns' default.
        return await self._podman.call("kube", "play", "--network", "slirp4netns", "-", stdin=manifest, cgroups=groups)

    async def stop(self, session_id: str) -> None:
        """Remove a session's pod, with its containers and volumes, and its control groups.

        Raises: OperatorFault.
        """
        await self._services.forget(session_id)
        name = pod_name(self.instance, session_id)
        pauses = iter(_REMOVAL_PAUSES_SECONDS)
        while not (done := await self._podman.call("pod", "rm", "--force", "--time", "0", "--ignore", name)).ok:
            # What a start that was broken off had begun may hold its mounts for a moment more.
            if (pause := next(pauses, None)) is None:
                raise OperatorFault(f"podman could not remove the pod {name}: {last_line(done.output)}")
            await asyncio.sleep(pause)
        await self._cgroups.remove(session_id)

    async def running(self) -> Mapping[str, Running]:
        """Return our sessions: id → what it is at.

        Raises: OperatorFault.
        """
        found: dict[str, Running] = {}
        beside: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        for container in await self._podman.containers():
            pod = container.get("PodName", "")
            session_id = pod.removeprefix(f"binder-{self.instance}-")
            if not is_session_id(session_id):
                continue  # another service's, or not a session
            name = container["Names"][0].removeprefix(f"{pod}-")
            if container["IsInfra"]:
                found.setdefault(session_id, _NOT_STARTED)
            elif name == "notebook":
                found[session_id] = running_of(container, self._cgroups.ran_out_of_memory(session_id))
            else:
                beside[session_id][name] = container
        for session_id, containers in beside.items():
            session = found.get(session_id, _NOT_STARTED)
            found[session_id] = replace(session, services=self._seen(session_id, containers, mend=session.alive))
        # Whoever died between two steps may have left no more than a group.
        return dict.fromkeys(self._cgroups.names(), _NOT_STARTED) | found

    def _seen(
        self, session_id: str, containers: Mapping[str, Mapping[str, Any]], *, mend: bool
    ) -> Mapping[str, ServiceState]:
        pod = pod_name(self.instance, session_id)
        return {
            name: self._services.seen(session_id, pod, name, container, mend=mend)
            for name, container in containers.items()
        }

    async def log_of(self, session_id: str, service: str = "") -> str:
        """Return the last lines of a session's notebook server, or of a service of it."""
        return await self._podman.log_of(f"{pod_name(self.instance, session_id)}-{service or 'notebook'}")


def without_secrets(text: str, spec: SessionSpec) -> str:
    """Return what podman says without what only the session may know."""
    told = [spec.services.environment, *(one.environment for one in spec.services.services)]
    for secret in (spec.token, *(value for one in told for value in one.values() if len(value) >= _SHORTEST_SECRET)):
        text = text.replace(secret, "***")
    return text


def allowance_of(spec: SessionSpec) -> Allowance:
    """Return what a session may use with its services: they are in one group, each with its own share of it."""
    beside = spec.services.services
    return Allowance(
        spec.memory_bytes + spec.services.memory_bytes,
        spec.pids * (1 + len(beside)),
        spec.cpus + sum(one.cpus for one in beside),
    )


def running_of(container: Mapping[str, Any], ran_out_of_memory: bool) -> Running:
    """Return what podman's account of a container (`podman ps --format json`) says about its session."""
    ports = [port["host_port"] for port in container.get("Ports") or () if port["container_port"] == SERVER_PORT]
    target = f"127.0.0.1:{ports[0]}" if ports else None
    state = container["State"]
    if state == "running":
        return Running(alive=True, target=target)
    if state not in {"exited", "stopped"}:
        return _NOT_STARTED
    code = int(container["ExitCode"])
    reason = "It ran out of memory." if ran_out_of_memory else f"The notebook server ended with exit code {code}."
    return Running(alive=False, target=target, exit_code=code, reason=reason)


def is_worth_another_try(output: str) -> bool:
    # Somebody else took the port meanwhile; or a podman of ours that outlived its service was faster.
    return "address already in use" in output or "already exists" in output


@contextmanager
def _reserved_port(reserved: set[int]) -> Iterator[int]:
    """Give a port of the loopback that is free, and that no other start of ours is given meanwhile."""
    port = _free_port()
    while port in reserved:
        port = _free_port()
    reserved.add(port)
    try:
        yield port
    finally:
        reserved.discard(port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
