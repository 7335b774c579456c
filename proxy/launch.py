"""What follows a click on a link, decided.

Pure: from the newest build of the link's commit and the sessions of its image to the one next thing. `proxy.claims`
looks and acts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from binder.lifecycle import BuildState
from binder.store.queries import ACTIVE_BUILDS
from binder.store.tables import Build

# A fault that is not the repository's may be gone by now; a click tries again, but not each click.
_TRY_AGAIN_AFTER = timedelta(minutes=2)
# A session that could not be started says so to those who wait; after this, a click tries another one.
_FAILURE_STANDS = timedelta(seconds=60)


@dataclass(frozen=True)
class FailedStart:
    """The newest session of an image, where it failed."""

    reason: str
    at: datetime


@dataclass(frozen=True)
class Places:
    """How many sessions there may be at the same time: of all repositories, and open ones of one."""

    at_most: int = 1
    of_repository: int = 1


@dataclass(frozen=True)
class LaunchFacts:
    """What the store holds about a commit. `build` is its newest one; the sessions are those of that build's image."""

    build: Build | None
    standby: str | None = None
    is_coming: bool = False
    failed_start: FailedStart | None = None
    live_sessions: int = 0
    open_of_repository: int = 0
    places: Places = Places()


@dataclass(frozen=True)
class QueueBuild:
    """Have the commit built; `again`, although a build of it failed."""

    again: bool


@dataclass(frozen=True)
class StartSession:
    """Have a session of the build's image started, then wait for it."""


@dataclass(frozen=True)
class ClaimStandby:
    """Open this session."""

    session_id: str


@dataclass(frozen=True)
class Wait:
    """The build or a session is on its way."""


@dataclass(frozen=True)
class BuildFailed:
    """The build stands as failed."""


@dataclass(frozen=True)
class StartFailed:
    """The image is there, but no session of it comes up."""

    reason: str


@dataclass(frozen=True)
class Busy:
    """All places are taken."""


@dataclass(frozen=True)
class Crowded:
    """As many sessions of the repository are open as one may have."""


Decision: TypeAlias = QueueBuild | StartSession | ClaimStandby | Wait | BuildFailed | StartFailed | Busy | Crowded


def decide(facts: LaunchFacts, now: datetime) -> Decision:
    """Return the one next thing to do."""
    build = facts.build
    if build is None or build.state in {BuildState.SUPERSEDED, BuildState.CANCELLED}:
        return QueueBuild(again=False)
    if build.state in ACTIVE_BUILDS:
        return Wait()
    if build.state is BuildState.FAILED:
        return QueueBuild(again=True) if may_be_tried_again(build, now) else BuildFailed()
    return _decide_session(facts, now)


def may_be_tried_again(build: Build, now: datetime) -> bool:
    """Whether a failed build could succeed without a change to the repository, and has stood for a while."""
    party = (build.fault or {}).get("party")
    return (
        party in {"operator", "world"} and build.finished_at is not None and now - build.finished_at > _TRY_AGAIN_AFTER
    )


def _decide_session(facts: LaunchFacts, now: datetime) -> Decision:
    if facts.open_of_repository >= facts.places.of_repository:
        return Crowded()
    if facts.standby:
        return ClaimStandby(facts.standby)
    if facts.is_coming:
        return Wait()
    if facts.failed_start and now - facts.failed_start.at < _FAILURE_STANDS:
        return StartFailed(facts.failed_start.reason)
    return StartSession() if facts.live_sessions < facts.places.at_most else Busy()
