"""The adapter to Buildah: it makes and names images, rootless, in namespaces that end with each command.

It chooses nothing: what goes into an image, and when one is made, is its callers' business.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from binder.containers import engine_environment
from binder.errors import BinderError, OperatorFault, RepositoryFault, WorldFault
from binder.names import new_session_id
from binder.paths import Paths
from binder.process import Account, Command, Completed, TimedOutError, capture, run
from build.garbage.storage import digests_by_name

_SHORT_SECONDS = 60.0
_BUILDAHS_OWN = ("Error: building at STEP", "Error: while running runtime", "Error: exit status")
_DISK_FULL = "no space left on device"

_COMPRESSION = ("--compression-format", "gzip", "--compression-level", "1")
_ISOLATION = ("--isolation", "oci", "--runtime", "runc")
# Without control groups, runc warns of each thing that it would do with them: among what a step prints, whose last
# lines may be an answer. What it fails by it says all the same.
_IN_CONTAINER = ("--pid", "host", "--runtime-flag", "log=/dev/null")
# Removing the container is the last word of a shell that lives on: what `exec` would be handed to could not do it.
_THROWN_AWAY = """
set -eu
name=$1 image=$2
shift 2
trap 'buildah rm "$name" >/dev/null' EXIT
buildah from --pull-never --name "$name" "$image" >/dev/null
"$@"
"""

_ON_FILES = """
set -eu
folder=$(buildah mount "$1")
shift
exec "$@" "$folder"
"""

LIMITED_TO: ContextVar[Sequence[Path]] = ContextVar("LIMITED_TO", default=())
"""The control groups of the build that this task is at; all of its commands run inside of them."""

Network = Literal["host", "none"]

Mount = tuple[Path, str, str]
"""A folder of the host, its place in the build, and `ro`, `rw`, or `O`: what is written to it is thrown away."""


def volumes(mounts: Sequence[Mount]) -> list[str]:
    """Return the arguments that mount folders in a build."""
    return [f"--volume={host}:{inside}:{mode}" for host, inside, mode in mounts]


class Buildah:
    """Buildah, run as the build account on the engine's storage."""

    def __init__(self, paths: Paths, account: Account, *, timeout_seconds: float, in_background: bool = False) -> None:
        self.paths = paths
        self._prefix = ("nice", "-n", "19") if in_background else ()
        self._account = account
        self._env = engine_environment(paths, account)
        self._timeout = timeout_seconds

    def command(self, argv: Sequence[str], *, cwd: Path | None = None) -> Command:
        """Return a command that runs beside Buildah, in namespaces of its own."""
        argv = [*self._prefix, *argv]
        groups = LIMITED_TO.get()
        return Command(argv, self._env, cwd or self.paths.engine, self._account, sandboxed=True, cgroups=groups)

    @property
    def _isolation(self) -> Sequence[str]:
        """The arguments that close in what runs in a build: in a container, it has the /proc that there is."""
        return _ISOLATION if self._account.sandbox == "whole" else (*_ISOLATION, *_IN_CONTAINER)

    def build_command(self, network: Network) -> list[str]:
        """Return the beginning of the command that builds an image of a Containerfile."""
        # In a container, Buildah cannot make a network for another one, for which the kernel's settings are to be set.
        is_closed = network == "none" and self._account.sandbox != "whole"
        around = ("unshare", "--net", "--") if is_closed else ()
        return [*around, "buildah", "build", *self._isolation, "--network", "host" if is_closed else network]

    async def remove(self, folder: Path) -> None:
        """Remove a folder that a build worked in."""
        if self._account.is_other:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        else:
            # Some of what is in it belongs to ids that only a namespace of ours can act for.
            await self.run_script('rm -rf -- "$1"', str(folder), step="clean-up", take=None)

    def own_folder(self, folder: Path) -> Path:
        """Make a folder that belongs to the build account."""
        folder.mkdir(mode=0o755)
        if self._account.is_other:
            shutil.chown(folder, self._account.uid, self._account.gid)
        return folder

    async def images(self) -> dict[str, str]:
        """Return the images that are there: name → digest.

        Raises: OperatorFault.
        """
        return await asyncio.to_thread(digests_by_name, self.paths.engine)

    async def make(
        self,
        image: str,
        containerfile: Path,
        context: Path,
        *,
        mounts: Sequence[Mount],
        created: int | None,
        step: str,
        take: Callable[[str], Awaitable[None]],
        explain: Callable[[str], BinderError | None],
        network: Network = "host",
        arguments: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Make `image` from a Containerfile: all of its instructions end up in one layer on what it begins with.

        `created` is the time, in seconds of the epoch, that the image and the files of its layer get; None leaves the
        files their own. `take` is given each line that is printed, and `explain` may find the fault in them. The
        Containerfile declares `arguments` with ARG.
        Raises: BinderError.
        """
        argv = self.build_command(network)
        argv += [
            "--pull-never",
            "--layers=false",
            "--format",
            "oci",
            "--identity-label=false",
            "--ignorefile",
            "/dev/null",
            "--tag",
            image,
        ]
        argv += ["--file", str(containerfile)]
        argv += [] if created is None else ["--timestamp", str(created)]
        argv += volumes(mounts)
        argv += [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
        await self._run([*argv, str(context)], step=step, take=take, explain=explain)

    async def run_inside(
        self,
        image: str,
        script: str,
        *arguments: str,
        mounts: Sequence[Mount],
        step: str,
        take: Callable[[str], Awaitable[None]],
        explain: Callable[[str], BinderError | None],
    ) -> None:
        """Run a shell script as the user of an image, in a container that is thrown away after it.

        Raises: BinderError.
        """
        container = f"binder-{new_session_id()}"
        argv = ["buildah", "run", *self._isolation, "--network", "host", "--user", "1000", *volumes(mounts)]
        argv += [container, "--", "/bin/sh", "-c", script, step, *arguments]
        await self.run_script(_THROWN_AWAY, container, image, *argv, step=step, take=take, explain=explain)

    async def run_on_files(self, image: str, *argv: str, step: str, take: Callable[[str], Awaitable[None]]) -> None:
        """Run a command beside Buildah on the files of an image: its last argument is the folder that holds them.

        What it changes of them is thrown away. Raises: BinderError.
        """
        container = f"binder-{new_session_id()}"
        on_files = ("sh", "-c", _ON_FILES, step, container, *argv)
        await self.run_script(_THROWN_AWAY, container, image, *on_files, step=step, take=take)

    async def config(self, image: str) -> bytes:
        """Return the configuration of an image that is there, as OCI writes it.

        Raises: WorldFault, where it is not there any more.
        """
        look = self.command(["buildah", "inspect", "--type", "image", "--format", "{{.Config}}", image])
        code, output = await capture(look, timeout_seconds=_SHORT_SECONDS, most_bytes=2**24)
        if code:
            raise WorldFault("The image to lay files on was removed meanwhile.")
        return output.strip()

    async def pull(self, image: str) -> None:
        """Bring an image from its registry into the storage, if it is not there.

        Raises: BinderError.
        """
        argv = ["buildah", "pull", "--quiet", "--policy", "ifnewer", image]
        await self._run(argv, step="registry", take=None, explain=explain_registry)

    async def push(self, image: str) -> None:
        """Bring an image from the storage into its registry.

        Raises: BinderError.
        """
        argv = ["buildah", "push", "--quiet", "--format", "oci", *_COMPRESSION, image]
        await self._run(argv, step="registry", take=None, explain=explain_registry)

    async def run_script(
        self,
        script: str,
        *arguments: str,
        step: str,
        take: Callable[[str], Awaitable[None]] | None,
        explain: Callable[[str], BinderError | None] = lambda _: None,
    ) -> None:
        """Run a shell script beside Buildah; `take` is given each line that it prints.

        Raises: BinderError.
        """
        await self._run(["sh", "-c", script, step, *arguments], step=step, take=take, explain=explain)

    async def _run(
        self,
        argv: Sequence[str],
        *,
        step: str,
        take: Callable[[str], Awaitable[None]] | None,
        explain: Callable[[str], BinderError | None],
    ) -> None:
        try:
            done = await run(self.command(argv), timeout_seconds=self._timeout, on_line=take)
        except TimedOutError as error:
            raise RepositoryFault(
                f"The step “{step}” did not end within {error.seconds:g} seconds and was stopped.", step=step
            ) from error
        if not done.ok:
            raise _fault_of_disk(done) or explain(done.output) or _fault_of(done, step)

    async def remove_leftovers(self) -> None:
        """Remove the containers that interrupted builds left behind; nobody may be building meanwhile."""
        await run(self.command(["buildah", "rm", "--all"]), timeout_seconds=_SHORT_SECONDS)


def explain_registry(output: str) -> BinderError:
    """Return the fault that a registry did not take or give an image, in its last words."""
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "it said nothing")
    return WorldFault(f"The registry could not be used: {last.strip()[:300]}")


def _fault_of_disk(done: Completed) -> BinderError | None:
    full = _DISK_FULL in done.output.lower()
    return OperatorFault("The disk of this service is full. Free some space, then build again.") if full else None


def _fault_of(done: Completed, step: str) -> BinderError:
    said = [line for line in done.output.splitlines() if line.strip() and not line.startswith(_BUILDAHS_OWN)]
    last = said[-1] if said else "it said nothing"
    return RepositoryFault(f"The step “{step}” failed: {last.strip()[:300]}", step=step)
