"""Fetches what the repository's own projects are built with, once for each machine, so that building needs no network.

What is fetched are wheels alone, and nothing of them runs: so they may go into the folder of packages that all share.
"""

from collections.abc import Iterable
from pathlib import Path

from binder.errors import RepositoryFault
from binder.names import digest_of
from build.buildah import Mount
from build.faults import explain_installation
from build.foundations import Foundation
from build.host import step_mounts
from build.images import name_of
from build.lock import uv_options
from build.log import BuildLog
from build.plan import template
from build.recipes.recipe import Recipe
from build.tools import Tools

_SCRIPT = "build-systems.sh"


class BuildSystems:
    """Brings build systems to this machine."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def fetch(
        self,
        foundation: Foundation,
        recipe: Recipe,
        locks: Iterable[str],
        python: str | None,
        notes: BuildLog,
        work: Path,
        *,
        again: bool = False,
    ) -> bool:
        """Fetch the packages of locks for a version of Python, or Debian's; return whether any was not there before.

        With `again`, none is taken to be there. What has no wheel is left out, and the log says so.
        Raises: BinderError.
        """
        fetched = False
        for lock in sorted({lock for lock in locks if lock}):
            name = digest_of("fetched", foundation.base.key, lock, python, template(_SCRIPT))
            async with self._tools.alone.at(f"fetched-{name}"):
                if again or not (self._packages(foundation) / "fetched" / name).exists():
                    await self._fetch(name, foundation, recipe, lock, python, notes, work)
                    fetched = True
        return fetched

    async def _fetch(
        self,
        name: str,
        foundation: Foundation,
        recipe: Recipe,
        lock: str,
        python: str | None,
        notes: BuildLog,
        work: Path,
    ) -> None:
        await self._tools.foundations.lay(foundation, recipe, notes, work)
        notes.heading("Fetching what the repository is built with")
        given = work / f"fetched-{name}"
        given.mkdir(mode=0o755, exist_ok=True)
        (given / "requirements.lock").write_text(lock, encoding="utf-8")
        try:
            await self._tools.buildah.run_inside(
                name_of(self._tools.images, foundation.system),
                template(_SCRIPT),
                name,
                *uv_options(lock.splitlines()),
                *(["--python-version", python] if python else []),
                mounts=self._mounts(foundation, given),
                step="content",
                take=notes.take,
                explain=explain_installation,
            )
        except RepositoryFault as error:
            notes.line(error.message)

    def _packages(self, foundation: Foundation) -> Path:
        return self._tools.paths.wheels(with_credentials=foundation.with_credentials)

    def _mounts(self, foundation: Foundation, given: Path) -> list[Mount]:
        packages = (self._packages(foundation), "/run/packages", "rw")
        return step_mounts(
            self._tools.host, self._tools.paths, given, packages, reads_credentials=foundation.with_credentials
        )
