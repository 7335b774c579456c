"""What commits of forks get of a builder: they wait for all others, are few at a time, and have an end.

Anybody may propose a commit, and have it approved by somebody who looked at its text alone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from binder.errors import OperatorFault, RepositoryFault
from binder.lifecycle import BuildState
from binder.store import Store
from binder.store.tables import Build, utc_now

IN_WORK = (BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING)
"""The states of a build that somebody is at, in their order."""


@dataclass(frozen=True)
class ForkQuota:
    """How many builds of forks' commits run at once, and the seconds that each may take as a whole."""

    at_once: int
    seconds: float

    async def claim(self, store: Store, *, lease_seconds: float) -> Build | None:
        """Take the oldest build that waits; a fork's only where no other does, and not too many are at work."""
        now, queued = utc_now(), Build.state == BuildState.QUEUED
        trusted = await store.claim(Build, queued, ~Build.untrusted, now=now, lease_seconds=lease_seconds)
        if trusted:
            return trusted
        other = aliased(Build)
        at_work = (other.untrusted, other.state.in_((BuildState.QUEUED, *IN_WORK)), other.lease_until >= now)
        number = select(func.count(other.id)).where(*at_work).scalar_subquery()
        # Where none is allowed, one at a time is taken up to be told so.
        fits = number < max(1, self.at_once)
        is_alone = Build.repository_id.not_in(select(other.repository_id).where(*at_work))
        return await store.claim(
            Build, queued, Build.untrusted.is_(True), fits, is_alone, now=now, lease_seconds=lease_seconds
        )

    @asynccontextmanager
    async def time(self, build: Build) -> AsyncIterator[None]:
        """Let a fork's build, as a whole, take no longer than it may; others have no such end.

        Raises: OperatorFault, where it may take no time at all; RepositoryFault.
        """
        if build.untrusted and not self.at_once:
            raise OperatorFault("This service builds no commits of forks.")
        async with asyncio.timeout(self.seconds if build.untrusted else None) as limit:
            try:
                yield
            except asyncio.CancelledError as error:
                if limit.expired():
                    message = f"The build did not end within {self.seconds:g} seconds, which is what a fork's may take."
                    raise RepositoryFault(message, step="build") from error
                raise
