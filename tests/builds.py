"""The real builder, wired as the service wires it, for tests that want an image without a worker and its rows."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from binder.cgroups import Allowance, Cgroups, limits_for, read_cgroup_facts
from binder.errors import RepositoryFault
from binder.lifecycle import BuildState
from binder.paths import Paths
from binder.process import Account
from binder.service import builder as wiring
from binder.settings import read_settings
from build.buildah import Buildah
from build.commits.git import Git, Source
from build.host import HostSettings, find_host_settings, write_host_folder
from build.limits import BuildLimits
from build.lock import Lock
from build.log import BuildLog, FileLog
from build.pipeline import Built
from build.planner import Job
from build.worker import Maker
from modules.catalogue import Catalogue

_TIMEOUT_SECONDS = 200.0
_numbers = itertools.count()


@dataclass(frozen=True)
class Builder:
    """What builds are made with, and what a test wants to do with it."""

    wired: wiring.Builder

    @property
    def paths(self) -> Paths:
        """Where everything lies."""
        return self.wired.paths

    @property
    def account(self) -> Account:
        """The account that builds run as."""
        return self.wired.account

    @property
    def host(self) -> HostSettings:
        """What this host is taken to be set up with."""
        return self.wired.host

    @property
    def buildah(self) -> Buildah:
        """The adapter to Buildah."""
        return self.wired.buildah

    @property
    def git(self) -> Git:
        """The adapter to git."""
        return self.wired.git

    @property
    def pipeline(self) -> Maker:
        """What is tested."""
        return self.wired.pipeline

    async def build(
        self, source: Source, sha: str, *, log: Path | None = None, enter: Callable[[BuildState], None] = lambda _: None
    ) -> Built:
        """Build a commit; `log` is the file that gets the build's log, `enter` hears of the states.

        Raises: BinderError.
        """

        async def entered(state: BuildState) -> None:
            enter(state)

        async with self.work() as work:
            notes = BuildLog(FileLog(log or work / "log"), secrets=self.host.secrets, most_bytes=2**20)
            try:
                return await self.pipeline.build(Job(source, sha, notes, work, entered))
            finally:
                await notes.close()

    async def lock(self, source: Source, sha: str) -> tuple[str, Lock]:
        """Lock what a commit asks for, and return where its lock belongs, and the lock.

        Raises: BinderError.
        """

        async def entered(_: BuildState) -> None:
            """Take no notice: a lock is no build."""

        async with self.work() as work:
            notes = BuildLog(FileLog(work / "log"), secrets=self.host.secrets, most_bytes=2**20)
            try:
                return await self.wired.planner.lock(Job(source, sha, notes, work, entered))
            finally:
                await notes.close()

    @asynccontextmanager
    async def work(self) -> AsyncIterator[Path]:
        """Give an empty folder in which a build may work; gone after the block."""
        folder = self.paths.work / f"{self.paths.instance}-test-{next(_numbers)}"
        folder.mkdir()
        folder.chmod(0o711)
        try:
            yield folder
        finally:
            if self.account.is_other:
                await asyncio.to_thread(shutil.rmtree, folder)
            else:
                await self.buildah.run_script('rm -rf -- "$1"', str(folder), step="clean-up", take=None)

    async def inside(self, image: str, script: str) -> list[str]:
        """Run a shell script in a new container of an image, as its user, and return the lines that it printed."""
        lines: list[str] = []

        async def take(line: str) -> None:
            lines.append(line)

        run = 'c=$(buildah from --pull-never "$1"); trap \'buildah rm "$c" >/dev/null\' EXIT; '
        run += 'buildah run --isolation oci --runtime runc --network none "$c" -- /bin/sh -c "$2" </dev/null'
        await self.buildah.run_script(f"set -eu; {run}", image, script, step="look", take=take)
        return lines

    async def forget(self, images: Iterable[str]) -> None:
        """Remove images, so that the next build makes them; a session that has just ended may hold one for a moment."""
        wanted = list(images)
        for pause in (0.2, 0.5, 1.0, 2.0, None):
            there = await self.buildah.images()
            names = [image for image in wanted if image in there]
            try:
                if names:
                    await self.buildah.run_script('buildah rmi "$@" >/dev/null', *names, step="forget", take=None)
            except RepositoryFault:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                return


async def new_builder(
    paths: Paths,
    account: Account,
    host: HostSettings | None = None,
    settings: Mapping[str, object] | None = None,
    catalogue: Catalogue | None = None,
) -> Builder:
    """Make a builder of folders whose engine is ready.

    `host` is what it takes this host's settings to be; `settings` stand before those of the environment, and
    `catalogue` in the place of Binder's own modules.
    """
    host = host or await find_host_settings()
    write_host_folder(host, paths)
    # What a test fetches is of no use to others: it goes with the state.
    own = Paths(paths.state, paths.state / "fetched")
    own.make(account)
    chosen = read_settings(build_timeout_seconds=_TIMEOUT_SECONDS, **(settings or {}))
    wired = wiring.wired_builder(chosen, paths, account, host, objects=own, catalogue=catalogue)
    await wired.prepare()
    return Builder(wired)


def new_limits(paths: Paths, *, memory_bytes: int = 4 * 2**30, disk_reserve_bytes: int = 0) -> BuildLimits:
    """Return limits for the builds of a test."""
    cgroups = Cgroups(limits_for(read_cgroup_facts()), f"{paths.instance}-builds")
    return BuildLimits(cgroups, Allowance(memory_bytes, 4096, 1.0), paths.cache, disk_reserve_bytes)
