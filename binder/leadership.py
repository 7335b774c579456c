"""Which of several processes leads: the one that holds a Lease and renews it, as in client-go's elections.

Owns the rules and the term of a leader; where the Lease is kept is `LeaseRecord`'s. Times that other machines wrote are
never compared with ours: a Lease is over once it has not changed for as long as it is good for, by our own clock since
we saw it. Whoever leads gives up well before that, and the process ends where it does not manage to in time.
Source: https://kubernetes.io/docs/concepts/architecture/leases/, k8s.io/client-go/tools/leaderelection
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from binder.errors import BinderError
from binder.log import logger

log = logger(__name__)

LEASE_SECONDS: Final = 15.0
"""How long a Lease is good for, since it was last renewed: as long as nobody leads after a crash."""
GIVE_UP_SECONDS: Final = 10.0
"""How long a leader goes on that cannot renew it; what is left is for stopping."""
_RENEW_SECONDS = 2.0
_LEAST_SPARE_SECONDS = 1.0

Decision = Literal["take", "wait"]


@dataclass(frozen=True)
class Lease:
    """A Lease as it stands in the record. `holder` is empty where nobody leads; `version` is another at each write.

    `turns` counts the leaders that there were.
    """

    holder: str
    seconds: float
    turns: int
    version: str
    acquired_at: datetime | None = None


@dataclass(frozen=True)
class Seen:
    """A Lease, and since when it has stood like that, by our own clock in seconds."""

    lease: Lease
    since: float


class LeaseRecord(Protocol):
    """Where a Lease is kept, by whoever writes only over what he has read."""

    async def read(self) -> Lease | None:
        """Return the Lease; None where there never was one.

        Raises: BinderError.
        """

    async def write(self, holder: str, over: Lease | None) -> Lease | None:
        """Write a holder over what was read, and return what stands there now; None where somebody was quicker.

        Raises: BinderError.
        """


class Deadline(Protocol):
    """Ends this process where it still leads at a time, by `boot_time`."""

    def arm(self, deadline: float) -> None:
        """Set the time, in place of the one before."""

    def disarm(self) -> None:
        """Set none."""


def seen_again(seen: Seen | None, lease: Lease | None, now: float) -> Seen | None:
    """Return what is known after another look: what has not changed has stood since we saw it first. Pure."""
    if lease is None:
        return None
    return seen if seen and seen.lease == lease else Seen(lease, now)


def decide_leadership(seen: Seen | None, now: float, me: str) -> Decision:
    """Return what somebody does who does not lead. Pure."""
    if seen is None or seen.lease.holder in {"", me} or now - seen.since >= seen.lease.seconds:
        return "take"
    return "wait"


def has_lost(renewed_at: float, now: float) -> bool:
    """Whether a leader has to give up, who began at `renewed_at` what was the last successful renewal. Pure."""
    return now - renewed_at >= GIVE_UP_SECONDS


def boot_time() -> float:
    """Return the seconds since this machine's start, those included in which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leadership:
    """Leads whenever it can. `me` is a name that no other process has, not even this one after a restart.

    `deadline` is for a process that hangs, or does not come to an end with its work.
    """

    def __init__(self, record: LeaseRecord, me: str, deadline: Deadline) -> None:
        self._record = record
        self._me = me
        self._seen: Seen | None = None
        self._lease: Lease | None = None
        self._renewed_at = 0.0
        self._deadline = deadline

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have `work` done in each term, for ever; a term ends by cancelling it, and whoever cancels us ends the last.

        Raises: what ended `work`.
        """
        while True:
            await self._win()
            await self._serve(work)

    async def _win(self) -> None:
        """Wait until the Lease is ours."""
        while True:
            began = boot_time()
            try:
                async with asyncio.timeout(GIVE_UP_SECONDS):
                    lease = await self._record.read()
                    self._seen = seen_again(self._seen, lease, boot_time())
                    if decide_leadership(self._seen, boot_time(), self._me) == "take":
                        self._lease = await self._record.write(self._me, lease)
                        if self._lease:
                            self._renewed_at = began
                            return
            except (BinderError, TimeoutError) as error:
                log.warning("lease_not_seen", reason=_words_of(error))
            await asyncio.sleep(_RENEW_SECONDS * random.uniform(1.0, 1.2))  # noqa: S311 - so that they do not collide

    async def _serve(self, work: Callable[[], Awaitable[None]]) -> None:
        """Lead until the Lease is lost, or we are cancelled, or `work` breaks."""
        log.info("leadership_won", me=self._me, turns=self._lease and self._lease.turns)
        self._arm()
        renewing = asyncio.create_task(self._renew_until_lost(), name="lease")
        working = asyncio.ensure_future(work())
        try:
            await asyncio.wait({renewing, working}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_lost = renewing.done()
            # It goes on being renewed while the work is ended; where it cannot be, the watchdog waits for nobody.
            working.cancel()
            ended = [*await asyncio.gather(working, return_exceptions=True)]
            renewing.cancel()
            ended += await asyncio.gather(renewing, return_exceptions=True)
            self._deadline.disarm()
            log.warning("leadership_lost" if is_lost else "leadership_given_up", me=self._me)
            if not is_lost:
                await self._give_up()
        for fault in ended:
            if isinstance(fault, Exception):
                raise fault

    async def _renew_until_lost(self) -> None:
        while not has_lost(self._renewed_at, boot_time()):
            await asyncio.sleep(_RENEW_SECONDS)
            began = boot_time()
            try:
                async with asyncio.timeout(max(0.0, self._renewed_at + GIVE_UP_SECONDS - began)):
                    if not await self._renewed():
                        return
            except (BinderError, TimeoutError) as error:
                log.warning("lease_not_renewed", reason=_words_of(error))
            else:
                self._renewed_at = began
                self._arm()

    async def _renewed(self) -> bool:
        """Renew the Lease; False, where it is somebody else's."""
        written = await self._record.write(self._me, self._lease)
        if written is None:
            # What we wrote may have arrived without our being told.
            self._lease = await self._record.read()
            if self._lease is None or self._lease.holder != self._me:
                return False
            written = await self._record.write(self._me, self._lease)
        self._lease = written or self._lease
        return written is not None

    async def _give_up(self) -> None:
        """Leave the Lease to whoever comes first."""
        try:
            async with asyncio.timeout(_RENEW_SECONDS):
                await self._record.write("", self._lease)
        except (BinderError, TimeoutError) as error:
            log.warning("lease_not_given_up", reason=_words_of(error))

    def _arm(self) -> None:
        self._deadline.arm(self._renewed_at + LEASE_SECONDS - _LEAST_SPARE_SECONDS)


def _words_of(error: Exception) -> str:
    return error.message if isinstance(error, BinderError) else "It was not answered in time."
