"""What follows a click on a link, decided.

Pure: from the newest build of the link's commit and the sessions of its image to the one next thing. `proxy.claims`
looks and acts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from binder.errors import WorldFault
from binder.lifecycle import BuildState
from binder.store.queries import ACTIVE_BUILDS
from binder.store.tables import Build
from proxy.waiting import Ahead

# A fault that is not the repository's may be gone by now; a click tries again, but not each click.
_TRY_AGAIN_AFTER = timedelta(minutes=2)
# A session that could not be started says so to those who wait; after this, a click tries another one.
_FAILURE_STANDS = timedelta(seconds=60)
# Anybody may propose a commit: those of forks get one part in so many of what their repository may have.
_FORKS_SHARE = 4

NOBODY = Ahead(of_image=0, unserved=0, of=1)


@dataclass(frozen=True)
class FailedStart:
    """The newest session of an image, where it failed."""

    reason: str
    at: datetime


@dataclass(frozen=True)
class LaunchFacts:
    """What the store holds about a commit. `build` is its newest one; the sessions are those of that build's image.

    `standby` is the one that has waited longest, `standbys` and `coming` say how many there are. `ahead` is who came
    before this visitor.
    """

    build: Build | None
    standby: str | None = None
    standbys: int = 0
    coming: int = 0
    ahead: Ahead = NOBODY
    failed_start: FailedStart | None = None
    live_sessions: int = 0
    sessions_at_most: int = 1
    open_of_repository: int = 0
    per_repository: int = 1


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
    """All places are taken; this visitor gets the `position`-th that becomes free, of `of` who wait."""

    position: int
    of: int


@dataclass(frozen=True)
class Full:
    """Visitors have as many sessions of this repository open as they may; `of_forks`: of its forks' commits."""

    most: int
    of_forks: bool

    def fault(self, full_name: str) -> WorldFault:
        """Return what a visitor is told of it."""
        whose = f"forks of {full_name}" if self.of_forks else full_name
        return WorldFault(
            f"Visitors have {self.most} sessions of {whose} open, as many as there may be at a time here. "
            "Please open the link again when one of them has ended."
        )


Decision: TypeAlias = QueueBuild | StartSession | ClaimStandby | Wait | BuildFailed | StartFailed | Busy | Full


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


def share_of(per_repository: int, *, of_forks: bool) -> int:
    """Return how many sessions visitors may have open of a repository, or of its forks' commits."""
    return max(1, per_repository // _FORKS_SHARE) if of_forks else per_repository


def _decide_session(facts: LaunchFacts, now: datetime) -> Decision:
    of_forks = bool(facts.build and facts.build.untrusted)
    most = share_of(facts.per_repository, of_forks=of_forks)
    if facts.open_of_repository >= most:
        return Full(most, of_forks)
    ahead = facts.ahead
    if facts.standby and facts.standbys > ahead.of_image:
        return ClaimStandby(facts.standby)
    if facts.standbys + facts.coming > ahead.of_image:
        return Wait()
    if facts.failed_start and now - facts.failed_start.at < _FAILURE_STANDS:
        return StartFailed(facts.failed_start.reason)
    if facts.sessions_at_most - facts.live_sessions > ahead.unserved:
        return StartSession()
    return Busy(ahead.unserved + 1, ahead.of)
