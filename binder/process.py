"""The one door to child processes: each has an owner, a time limit, and an end.

A child belongs to the thread that started it: it is killed when this process dies, however it dies. It runs as the
unprivileged account where this process is root. `Command.sandboxed` puts it into namespaces of its own, in which it is
root over nothing but its account's subordinate ids: when it ends, or is ended, everything that it started and mounted
is gone with it.
"""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from binder.errors import OperatorFault

_LONGEST_LINE_BYTES = 2**16
_KEPT_LINES = 200
_GRACE_SECONDS = 1.0
_END_SECONDS = 10.0
_TRIAL_SECONDS = 10.0
_NO_MORE_RIGHTS = ("unshare", "--user", "--map-root-user", "--map-auto", "--mount")
_OWN_PROCESSES = ("--pid", "--fork", "--kill-child=KILL", "--mount-proc")

Sandbox = Literal["whole", "shared", "none"]
"""What sandboxed children get: all namespaces of their own; or, in a container, those of users and mounts, for /proc is
partly covered there and may not be mounted anew; or none, where a container allows no others inside of it. What they
leave running then ends with the container."""


@dataclass(frozen=True)
class Account:
    """The account that runs tools: its ids, a home that it can write to, and how its children can be sandboxed."""

    name: str
    uid: int
    gid: int
    home: Path
    sandbox: Sandbox = "whole"

    @property
    def is_other(self) -> bool:
        """Whether it is not the account of this process."""
        return self.uid != os.geteuid()


def find_account(name: str) -> Account:
    """Return the account that runs tools: `name` where this process is root, else the account of this process.

    Raises: OperatorFault, where root has no such account.
    """
    try:
        entry = pwd.getpwnam(name) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise OperatorFault(
            f"There is no account {name!r} to run builds with. `make set-up` creates it, or set BINDER_BUILD_ACCOUNT."
        ) from error
    if entry.pw_uid == 0:
        raise OperatorFault("Builds must not run as root: set BINDER_BUILD_ACCOUNT to an unprivileged account.")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))


@dataclass(frozen=True)
class Command:
    """What to run. `env` is all that the child's environment will hold, but for PATH."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    account: Account | None = None
    sandboxed: bool = False
    cgroups: Sequence[Path] = ()
    """Control groups that the child is put into before it runs anything (folders that this process can write to)."""
    outlives: bool = False
    """Whether what it starts may go on after it, and after this process: podman's containers do."""


@dataclass(frozen=True)
class Completed:
    """How a child ended. `returncode` is negative where a signal ended it; `output` holds its last lines."""

    returncode: int
    output: str

    @property
    def ok(self) -> bool:
        """Whether it said that it did what it should."""
        return self.returncode == 0


class TimedOutError(Exception):
    """A child did not end in time, and was ended."""

    def __init__(self, seconds: float, output: str) -> None:
        super().__init__(f"did not end within {seconds:g} s")
        self.seconds = seconds
        self.output = output


class OutputTooLongError(Exception):
    """A child printed more than its caller can use, and was ended."""


def arguments_of(command: Command) -> list[str]:
    """Return what is really run: the command behind what ties it to us and takes its rights away."""
    argv = ["setpriv"]
    if not command.outlives:
        argv += ["--pdeathsig", "KILL"]
    account = command.account
    if account and account.is_other:
        argv += ["--reuid", str(account.uid), "--regid", str(account.gid), "--clear-groups", "--inh-caps=-all"]
    argv.append("--")
    sandbox = _sandbox_of(command)
    if sandbox != "none":
        argv += [*_NO_MORE_RIGHTS, *(_OWN_PROCESSES if sandbox == "whole" else ()), "--"]
    if command.cgroups:
        # The shell moves itself before it gives up its rights, so that nothing of the child ever runs outside.
        moves = "".join(f'echo 0 >"${i}" && ' for i in range(1, len(command.cgroups) + 1))
        script = f'{moves}shift {len(command.cgroups)} && exec "$@"'
        argv = ["sh", "-c", script, "sh", *(str(path / "cgroup.procs") for path in command.cgroups), *argv]
    return [*argv, *command.argv]


def _sandbox_of(command: Command) -> Sandbox:
    if not command.sandboxed:
        return "none"
    return command.account.sandbox if command.account else "whole"


def environment_of(command: Command) -> dict[str, str]:
    """Return the whole environment of the child."""
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    account = command.account
    if account:
        env |= {"HOME": str(account.home), "USER": account.name}
    if account and _sandbox_of(command) != "none":
        # Tells Buildah that it already is in the user namespace that it would make (containers/storage, unshare).
        env |= {
            "_CONTAINERS_USERNS_CONFIGURED": "done",
            "_CONTAINERS_ROOTLESS_UID": str(account.uid),
            "_CONTAINERS_ROOTLESS_GID": str(account.gid),
        }
    return env | dict(command.env)


@asynccontextmanager
async def spawn(
    command: Command, *, stdin: int = asyncio.subprocess.DEVNULL
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a child, its standard error joined to its output, and see to its end when the block is left.

    Raises: OperatorFault, where the tool is not there.
    """
    env = environment_of(command)
    if shutil.which(command.argv[0], path=env["PATH"]) is None:
        # Asked beforehand: what stands before it in the arguments would be found, and fail in its own words.
        raise OperatorFault(f"{command.argv[0]} is not installed. Run `make set-up`.")
    try:
        process = await _started(
            asyncio.create_subprocess_exec(
                *arguments_of(command),
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=env,
                cwd=command.cwd,
                limit=_LONGEST_LINE_BYTES,
                start_new_session=True,
            )
        )
    except FileNotFoundError as error:
        raise OperatorFault(f"{command.argv[0]} cannot be started: {error}. Run `make set-up`.") from error
    try:
        yield process
    finally:
        # Nobody reads any more. asyncio would wait for its end as long as its output is full and not read.
        if pipe := process._transport.get_pipe_transport(1):  # type: ignore[attr-defined]  # noqa: SLF001
            pipe.close()
        try:
            await end_process(process)
        finally:
            # Output that nobody read keeps its pipe open, and asyncio has no other word for letting go of it.
            process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001


async def _started(starting: Coroutine[Any, Any, asyncio.subprocess.Process]) -> asyncio.subprocess.Process:
    """Return a child that was started; where we are cancelled meanwhile, it is first waited for, and ended."""
    task = asyncio.ensure_future(starting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # asyncio itself leaves a child behind that is cancelled twice while it starts.
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled() and not task.exception():
            await end_process(task.result(), grace_seconds=0)
        raise


async def end_process(process: asyncio.subprocess.Process, *, grace_seconds: float = _GRACE_SECONDS) -> None:
    """End a child and its process group: a request first, then by force."""
    if process.returncode is not None:
        return
    _signal_group(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(grace_seconds):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        # Where the child itself went at once, others of its group may not have.
        _signal_group(process.pid, signal.SIGKILL)
        await _gone(process)


async def _gone(process: asyncio.subprocess.Process) -> None:
    """Wait for the end of a child that was killed; who is cancelled meanwhile is told so after it."""
    deadline = asyncio.get_running_loop().time() + _END_SECONDS
    cancelled: asyncio.CancelledError | None = None
    while process.returncode is None:
        try:
            async with asyncio.timeout_at(deadline):
                await process.wait()
        except TimeoutError:
            break  # the kernel holds it, for a disk that does not answer
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


async def lines_of(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Give the lines of a child's output as they come; one that is too long comes in pieces."""
    cut = False
    while True:
        try:
            line = await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            line = error.partial
            if not line:
                return
        except asyncio.LimitOverrunError as error:
            cut = True
            yield (await stream.readexactly(error.consumed)).decode(errors="replace")
            continue
        if not (cut and line == b"\n"):
            yield line.decode(errors="replace").rstrip("\r\n")
        cut = False


async def run(
    command: Command,
    *,
    timeout_seconds: float,
    stdin: bytes | None = None,
    on_line: Callable[[str], Awaitable[None]] | None = None,
) -> Completed:
    """Run a child to its end and return how it ended; `on_line` sees each line of its output as it comes.

    Raises: TimedOutError; OperatorFault, where the tool is not there.
    """
    kept: deque[str] = deque(maxlen=_KEPT_LINES)
    source = asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE
    try:
        async with asyncio.timeout(timeout_seconds), spawn(command, stdin=source) as process:
            feeding = asyncio.create_task(_feed(process, stdin))
            assert process.stdout  # noqa: S101 - we asked for a pipe
            async for line in lines_of(process.stdout):
                kept.append(line)
                if on_line:
                    await on_line(line)
            await feeding
            return Completed(await process.wait(), "\n".join(kept))
    except TimeoutError as error:
        raise TimedOutError(timeout_seconds, "\n".join(kept)) from error


async def capture(command: Command, *, timeout_seconds: float, most_bytes: int) -> tuple[int, bytes]:
    """Run a child to its end and return its return code and all that it printed, as it is.

    Raises: TimedOutError; OutputTooLongError; OperatorFault, where the tool is not there.
    """
    output = bytearray()
    try:
        async with asyncio.timeout(timeout_seconds), spawn(command) as process:
            assert process.stdout  # noqa: S101 - we asked for a pipe
            while piece := await process.stdout.read(_LONGEST_LINE_BYTES):
                output += piece
                if len(output) > most_bytes:
                    raise OutputTooLongError
            return await process.wait(), bytes(output)
    except TimeoutError as error:
        raise TimedOutError(timeout_seconds, output[-2000:].decode(errors="replace")) from error


async def _feed(process: asyncio.subprocess.Process, data: bytes | None) -> None:
    if data is None or process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def account_in_container(account: Account) -> Account:
    """Return the account as this container lets its children be sandboxed, which is found out by trying."""
    kinds: tuple[Sandbox, ...] = ("whole", "shared")
    # Where it may make no namespace of users, or has no program that gives it ids, `unshare` does not end by itself.
    if shutil.which("newuidmap") and await _works(Command(["unshare", "--user", "--", "true"], account=account)):
        for kind in kinds:
            tried = replace(account, sandbox=kind)
            if await _works(Command(["true"], account=tried, sandboxed=True)):
                return tried
    return replace(account, sandbox="none")


async def _works(command: Command) -> bool:
    try:
        return (await run(command, timeout_seconds=_TRIAL_SECONDS)).ok
    except TimedOutError:
        return False
