"""The adapter to Buildah: it makes and names images, rootless, in namespaces that end with each command.

It chooses nothing: what goes into an image, and when one is made, is its callers' business.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from binder.containers import engine_environment
from binder.errors import BinderError, OperatorFault, RepositoryFault
from binder.paths import Paths
from binder.process import Account, Command, Completed, TimedOutError, capture, run
from build.log import BuildLog

_SHORT_SECONDS = 60.0
_LISTED_AT_MOST = 5
_BUILDAHS_OWN = ("Error: building at STEP", "Error: while running runtime", "Error: exit status")
_DISK_FULL = "no space left on device"

Mount = tuple[Path, str, str]
"""A folder of the host, its place in the build, and `ro` or `rw`."""


class Buildah:
    """Buildah, run as the build account on the engine's storage."""

    def __init__(self, paths: Paths, account: Account, *, timeout_seconds: float) -> None:
        self.paths = paths
        self._account = account
        self._env = engine_environment(paths, account)
        self._timeout = timeout_seconds

    def command(self, argv: Sequence[str], *, cwd: Path | None = None) -> Command:
        """Return a command that runs beside Buildah, in namespaces of its own."""
        return Command(argv, self._env, cwd or self.paths.engine, self._account, sandboxed=True)

    async def images(self) -> dict[str, str]:
        """Return the images that are there: name → digest.

        Raises: OperatorFault.
        """
        listing = self.command(["buildah", "--log-level", "fatal", "images", "--json", "--no-trunc"])
        output = b""
        for _ in range(_LISTED_AT_MOST):
            code, output = await capture(listing, timeout_seconds=_SHORT_SECONDS, most_bytes=2**26)
            if not code:
                return _digests_by_name(output)
            # To Buildah it is an error that an image goes while they are listed: look again.
        raise OperatorFault(f"Buildah cannot list its images: {output.decode(errors='replace').strip()[-300:]}")

    async def make(
        self,
        image: str,
        containerfile: Path,
        context: Path,
        *,
        mounts: Sequence[Mount],
        created: int | None,
        step: str,
        log: BuildLog,
        explain: Callable[[str], BinderError | None],
    ) -> None:
        """Make `image` from a Containerfile: all of its instructions end up in one layer on what it begins with.

        `created` is the time, in seconds of the epoch, that the image and the files of its layer get; None leaves the
        files their own. `explain` may find the fault in what was printed.
        Raises: BinderError.
        """
        argv = ["buildah", "build", "--isolation", "oci", "--runtime", "runc", "--network", "host", "--pull-never"]
        argv += ["--layers=false", "--format", "oci", "--ignorefile", "/dev/null", "--tag", image]
        argv += ["--file", str(containerfile)]
        argv += [] if created is None else ["--timestamp", str(created)]
        argv += [f"--volume={host}:{inside}:{mode}" for host, inside, mode in mounts]
        await self._run([*argv, str(context)], step=step, take=log.take, explain=explain)

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


def _digests_by_name(listing: bytes) -> dict[str, str]:
    rows = json.loads(listing) or []
    # An image that lost its name to another one has null for its names.
    return {name: row["digest"] for row in rows for name in row["names"] or ()}


def _fault_of_disk(done: Completed) -> BinderError | None:
    full = _DISK_FULL in done.output.lower()
    return OperatorFault("The disk of this service is full. Free some space, then build again.") if full else None


def _fault_of(done: Completed, step: str) -> BinderError:
    said = [line for line in done.output.splitlines() if line.strip() and not line.startswith(_BUILDAHS_OWN)]
    last = said[-1] if said else "it said nothing"
    return RepositoryFault(f"The step “{step}” failed: {last.strip()[:300]}", step=step)
