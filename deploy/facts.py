"""The facts that the pool is decided from, and the plan that it is decided to be: values, no more.

There are thousands of some at each look, which are tuples for that.

A session stands for any other of the same repository and image (a *kind*): whichever comes up first proves the image,
and whichever is free is given to the next visitor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from binder.lifecycle import BuildState, SessionState
from deploy.engine import Running

Kind: TypeAlias = tuple[int, str]
"""A repository's id and the name of an image."""


class BuildFact(NamedTuple):
    """A build that is being checked, or whose image a live preview shows or a free session runs.

    `image` is None if it has none. `awaits_check`: its notebooks have to run first.
    """

    id: int
    repository_id: int
    sha: str
    state: BuildState
    preview_id: int | None
    image: str | None
    awaits_check: bool = False

    @property
    def kind(self) -> Kind:
        """The kind of its sessions."""
        return (self.repository_id, self.image or "")


class PreviewFact(NamedTuple):
    """A preview that is live. `opened`: how many sessions of it visitors opened lately."""

    id: int
    repository_id: int
    head_sha: str
    is_pull: bool = False
    is_default: bool = False
    opened: int = 0


class SessionFact(NamedTuple):
    """A session that is live, or one that failed: lately, or for a build that is being checked.

    `is_held`: somebody holds its lease.
    """

    id: str
    repository_id: int
    build_id: int
    image: str
    state: SessionState
    created_at: datetime
    ready_at: datetime | None = None
    activity_at: datetime | None = None
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    is_held: bool = False

    @property
    def kind(self) -> Kind:
        """What it is interchangeable with."""
        return (self.repository_id, self.image)


@dataclass(frozen=True)
class Usage:
    """A notebook server's own account: when it was last used (None: it does not say), and whether a kernel computes."""

    at: datetime | None
    is_busy: bool


@dataclass(frozen=True)
class Patience:
    """How long an open session is kept: without use, with a kernel that computes for nobody, and at most."""

    idle: timedelta
    busy: timedelta
    age: timedelta


@dataclass(frozen=True)
class PoolFacts:
    """What the store and the engine have. `pods` is None where the engine was not asked this time."""

    builds: Sequence[BuildFact]
    previews: Sequence[PreviewFact]
    sessions: Sequence[SessionFact]
    pods: Mapping[str, Running] | None
    sessions_at_most: int
    standbys_at_most: int
    patience: Patience


@dataclass(frozen=True)
class Ending:
    """A session to end: it moves to `state`, if it still is where it `was`, and its pod is removed."""

    session_id: str
    was: SessionState
    state: SessionState
    reason: str


@dataclass(frozen=True)
class PoolPlan:
    """What to do next. Whoever carries it out looks again at each row first: it may have moved on."""

    succeed: tuple[int, ...] = ()
    """Builds being checked of which a session works."""
    fail: Mapping[int, str] = field(default_factory=dict)
    """Builds being checked of which a session failed: id → its reason."""
    want: tuple[BuildFact, ...] = ()
    """Builds that get one more session."""
    start: tuple[str, ...] = ()
    """Sessions to start, the longest waiting first."""
    again: tuple[str, ...] = ()
    """Sessions whose worker died: what there is of them is removed, and they are wanted again."""
    end: tuple[Ending, ...] = ()
    """Sessions that nobody needs, and those that are not running any more."""
    idle: tuple[Ending, ...] = ()
    """Open sessions that nobody seems to use; Jupyter's own account is asked before they are ended."""
    remove: tuple[str, ...] = ()
    """Pods that belong to no live session."""
