"""What a build may use of the machine: memory and processes by a control group, and a disk that is not full."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from binder.build_words import words_of_size
from binder.cgroups import Allowance, Cgroups
from binder.errors import OperatorFault, RepositoryFault
from build.buildah import LIMITED_TO

_LOOK_AT_DISK_SECONDS = 1.0
_PROCESSORS_OF_FORKS = 0.25


@dataclass(frozen=True)
class BuildLimits:
    """The limits of one service's builds: each gets `allowed`, and all leave so much free on the disk of `cache`."""

    cgroups: Cgroups
    allowed: Allowance
    cache: Path
    disk_reserve_bytes: int

    @asynccontextmanager
    async def within(self, name: str, *, untrusted: bool = False) -> AsyncIterator[None]:
        """See that what the block starts gets no more than a build may use; whatever is left of it is ended.

        What is `untrusted` gets less of the processors while others want them, too.
        Raises: RepositoryFault, where the block failed because it wanted more memory; OperatorFault, where it was
        broken off because the disk, which is everybody's, was about to be full.
        """
        allowed = replace(self.allowed, cpus=self.allowed.cpus * (_PROCESSORS_OF_FORKS if untrusted else 1.0))
        mark = LIMITED_TO.set(self.cgroups.make(name, allowed))
        try:
            async with self._room():
                yield
        except RepositoryFault as error:
            if not self.cgroups.ran_out_of_memory(name):
                raise
            size = words_of_size(self.allowed.memory_bytes)
            message = f"The step “{error.step}” wanted more than the {size} of memory that a build may use."
            raise RepositoryFault(message, file=error.file, line=error.line, step=error.step) from error
        finally:
            LIMITED_TO.reset(mark)
            await self.cgroups.remove(name)

    @asynccontextmanager
    async def _room(self) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as limit:
            watching = asyncio.create_task(self._watch_disk(limit))
            try:
                yield
            except asyncio.CancelledError as error:
                if limit.expired():
                    raise self._full() from error
                raise
            finally:
                watching.cancel()

    async def _watch_disk(self, limit: asyncio.Timeout) -> None:
        while shutil.disk_usage(self.cache).free >= self.disk_reserve_bytes:  # noqa: ASYNC110 - a disk gives no sign
            await asyncio.sleep(_LOOK_AT_DISK_SECONDS)
        limit.reschedule(asyncio.get_running_loop().time())

    def _full(self) -> OperatorFault:
        size = words_of_size(self.disk_reserve_bytes)
        return OperatorFault(
            f"Less than {size} are free on this service's disk, so the build was stopped. "
            "`binder gc` shows what can be removed."
        )
