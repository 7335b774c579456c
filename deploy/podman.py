"""Sessions as rootless containers on this machine, through podman's `kube play`.

Owns the pods of one service (`instance`), their ports and their control groups. Podman keeps the truth about them:
nothing here is remembered between two calls, but for the ports that are being handed out.
"""

import asyncio
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from binder.cgroups import Allowance, Cgroups, Limits
from binder.containers import engine_environment
from binder.errors import OperatorFault
from binder.names import is_session_id
from binder.paths import Paths
from binder.process import Account, Command, Completed, OutputTooLongError, TimedOutError, capture, run
from binder.uses import mark_used
from deploy.engine import Running, SessionSpec
from deploy.manifests import SERVER_PORT, is_of_this_machine, pod_name, session_manifest

_TIMEOUT_SECONDS = 60.0
_PULL_SECONDS = 600.0
_ATTEMPTS = 5
_LOG_LINES = 40
_LISTING_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4)
_REMOVAL_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6)
_LONGEST_LOG = 4000
_LONGEST_LIST_BYTES = 2**24


_NOT_STARTED = Running(alive=False, reason="The container did not start.")


class PodmanEngine:
    """Runs sessions with podman, as the build account, in the storage that the builds fill."""

    def __init__(self, paths: Paths, account: Account, limits: Limits) -> None:
        self.instance = paths.instance
        self.limits = limits
        self._paths = paths
        self._account = account
        self._cgroups = Cgroups(limits, self.instance)
        self._ports: set[int] = set()

    async def start(self, spec: SessionSpec) -> str:
        """Start a session's pod and return its target.

        Raises: OperatorFault; then nothing of it is left.
        """
        if spec.gpus:
            raise OperatorFault("Sessions on this machine have no GPUs. Set BINDER_SESSION_GPUS_AT_MOST to 0.")
        await mark_used(self._paths, [spec.image])
        await self._bring(spec.image)
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
                reason = _last_line(done.output).replace(spec.token, "***")
                raise OperatorFault(f"podman could not start the session: {reason}")
        raise AssertionError("the last attempt returns or raises")

    async def _bring(self, image: str) -> None:
        """See that an image of a registry is here: bringing it may take longer than a start should.

        Raises: OperatorFault.
        """
        if is_of_this_machine(image) or (await self._podman("image", "exists", image)).ok:
            return
        done = await self._podman("pull", "--quiet", image, timeout_seconds=_PULL_SECONDS)
        if not done.ok:
            raise OperatorFault(f"podman could not bring the image from its registry: {_last_line(done.output)}")

    async def _play(self, spec: SessionSpec, port: int) -> Completed:
        groups = self._cgroups.make(spec.id, Allowance(spec.memory_bytes, spec.pids, spec.cpus))
        manifest = json.dumps(session_manifest(spec, instance=self.instance, host_port=port)).encode()
        # No address of the host's loopback can be reached from inside: that is slirp4netns' default.
        return await self._podman("kube", "play", "--network", "slirp4netns", "-", stdin=manifest, cgroups=groups)

    async def stop(self, session_id: str) -> None:
        """Remove a session's pod, with its containers and volumes, and its control groups.

        Raises: OperatorFault.
        """
        name = pod_name(self.instance, session_id)
        pauses = iter(_REMOVAL_PAUSES_SECONDS)
        while not (done := await self._podman("pod", "rm", "--force", "--time", "0", "--ignore", name)).ok:
            # What a start that was broken off had begun may hold its mounts for a moment more.
            if (pause := next(pauses, None)) is None:
                raise OperatorFault(f"podman could not remove the pod {name}: {_last_line(done.output)}")
            await asyncio.sleep(pause)
        await self._cgroups.remove(session_id)

    async def running(self) -> Mapping[str, Running]:
        """Return our sessions: id → what it is at.

        Raises: OperatorFault.
        """
        found: dict[str, Running] = {}
        for container in await self._containers():
            session_id = container.get("PodName", "").removeprefix(f"binder-{self.instance}-")
            if not is_session_id(session_id):
                continue  # another service's, or not a session
            if not container["IsInfra"]:
                found[session_id] = running_of(container, self._cgroups.ran_out_of_memory(session_id))
            else:
                found.setdefault(session_id, _NOT_STARTED)
        # Whoever died between two steps may have left no more than a group.
        return dict.fromkeys(self._cgroups.names(), _NOT_STARTED) | found

    async def log_of(self, session_id: str) -> str:
        """Return the last lines of a session's notebook server."""
        name = f"{pod_name(self.instance, session_id)}-notebook"
        done = await self._podman("logs", "--tail", str(_LOG_LINES), name)
        return done.output[-_LONGEST_LOG:] if done.ok else ""

    async def _containers(self) -> list[dict[str, Any]]:
        """Return podman's account of all containers, those of other services included."""
        reason = ""
        for pause in _LISTING_PAUSES_SECONDS:
            try:
                return await self._listed()
            except TimedOutError as error:
                reason = f"it did not end within {error.seconds:g} s"
                break
            except (OutputTooLongError, ValueError) as error:
                # To podman it is an error that another service's container goes while it lists: look again.
                reason = str(error)
            await asyncio.sleep(pause)
        raise OperatorFault(f"podman does not say what is running: {reason}")

    async def _listed(self) -> list[dict[str, Any]]:
        command = self._command(["ps", "--all", "--pod", "--format", "json"])
        code, output = await capture(command, timeout_seconds=_TIMEOUT_SECONDS, most_bytes=_LONGEST_LIST_BYTES)
        if code:
            raise ValueError(_last_line(output.decode(errors="replace")))
        listed: list[dict[str, Any]] = json.loads(output)
        return listed

    async def _podman(
        self,
        *argv: str,
        stdin: bytes | None = None,
        cgroups: Sequence[Path] = (),
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> Completed:
        try:
            return await run(self._command(argv, cgroups), timeout_seconds=timeout_seconds, stdin=stdin)
        except TimedOutError as error:
            raise OperatorFault(f"`podman {argv[0]}` did not end within {error.seconds:g} s.") from error

    def _command(self, argv: Sequence[str], cgroups: Sequence[Path] = ()) -> Command:
        return Command(
            ["podman", "--log-level", "error", *argv],
            env=engine_environment(self._paths, self._account),
            cwd=self._paths.engine,
            account=self._account,
            cgroups=cgroups,
            outlives=True,
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


def _last_line(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it gave no reason"


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
