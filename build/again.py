"""The loop that makes environments again, whole, which were made by exchanging packages: when nothing else is to do."""

import shutil

from sqlalchemy import select

from binder.errors import BinderError
from binder.log import logger
from binder.names import new_session_id
from binder.paths import Paths
from binder.store import Store
from binder.store.queries import ACTIVE_BUILDS
from binder.store.tables import Build
from build.environments import Environments
from build.limits import BuildLimits
from build.log import BuildLog, FileLog

log = logger(__name__)

_LOG_BYTES = 2**22


class Rebuilder:
    """Makes environments again, one at a time."""

    def __init__(
        self, store: Store, environments: Environments, paths: Paths, limits: BuildLimits, *, secrets: frozenset[str]
    ) -> None:
        self._store = store
        self._environments = environments
        self._paths = paths
        self._limits = limits
        self._secrets = secrets

    async def step(self) -> bool:
        """Make one environment again, if there is one and no build waits or runs."""
        key = self._environments.due()
        if key is None or await self._is_busy():
            return False
        work = self._paths.work / f"{self._paths.instance}-{new_session_id()}"
        work.mkdir(mode=0o711)
        self._paths.again_log.unlink(missing_ok=True)  # the last one is enough
        notes = BuildLog(FileLog(self._paths.again_log), secrets=self._secrets, most_bytes=_LOG_BYTES)
        try:
            async with self._limits.within("again"):
                await self._environments.make_again(key, notes, work)
            log.info("environment_made_again", environment=key)
        except BinderError as error:
            log.warning("environment_not_made_again", environment=key, reason=notes.masked(error.message))
        finally:
            await notes.close()
            shutil.rmtree(work, ignore_errors=True)
        return True

    async def _is_busy(self) -> bool:
        async with self._store.read() as session:
            active = select(Build.id).where(Build.state.in_(ACTIVE_BUILDS)).limit(1)
            return (await session.scalars(active)).first() is not None
