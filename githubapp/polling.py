"""A loop step that looks at GitHub now and then: not more often than it should, and later where it failed."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from binder.errors import BinderError
from binder.log import logger
from binder.store.tables import utc_now
from githubapp.faults import pause_seconds

log = logger(__name__)


class Polled:
    """Looks every so many seconds. After a failure it waits longer each time, and as long as GitHub asks it to."""

    def __init__(self, name: str, look: Callable[[], Awaitable[None]], *, every_seconds: float) -> None:
        self._name = name
        self._look = look
        self._every_seconds = every_seconds
        self._failures = 0
        self._not_before: datetime | None = None

    async def step(self) -> bool:
        """Look, if it is time; there is never anything more to do at once."""
        if self._not_before and utc_now() < self._not_before:
            return False
        pause = self._every_seconds
        try:
            await self._look()
            self._failures = 0
        except BinderError as error:
            self._failures += 1
            pause = max(pause, pause_seconds(error, self._failures))
            log.warning("look_failed", look=self._name, reason=error.message, retry_in_seconds=pause)
        self._not_before = utc_now() + timedelta(seconds=pause)
        return False
