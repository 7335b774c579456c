"""The life cycles of a delivery, a build and a session, as tables.

A row moves only along these edges; the documentation's diagrams are drawn from them (`mermaid`). A state with no way
out is final.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from binder.errors import IllegalTransitionError


class DeliveryState(StrEnum):
    """Where a webhook delivery is."""

    STORED = "stored"
    ACTED = "acted"
    IGNORED = "ignored"
    STALE = "stale"
    FAILED = "failed"


class BuildState(StrEnum):
    """Where a build is."""

    QUEUED = "queued"
    FETCHING = "fetching"
    BUILDING = "building"
    PUSHING = "pushing"
    CHECKING = "checking"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


class SessionState(StrEnum):
    """Where a session is."""

    WANTED = "wanted"
    STARTING = "starting"
    STANDBY = "standby"
    OPEN = "open"
    ENDED = "ended"
    FAILED = "failed"


State = TypeVar("State", DeliveryState, BuildState, SessionState)

DELIVERY: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.STORED: frozenset(
        {DeliveryState.ACTED, DeliveryState.IGNORED, DeliveryState.STALE, DeliveryState.FAILED}
    ),
    DeliveryState.ACTED: frozenset(),
    DeliveryState.IGNORED: frozenset(),
    DeliveryState.STALE: frozenset(),
    # GitHub may deliver a failed one again, under the same id.
    DeliveryState.FAILED: frozenset({DeliveryState.STORED}),
}

_STOPPED = frozenset({BuildState.FAILED, BuildState.SUPERSEDED, BuildState.CANCELLED})

BUILD: Mapping[BuildState, frozenset[BuildState]] = {
    BuildState.QUEUED: frozenset({BuildState.FETCHING}) | _STOPPED,
    # Back to the queue: its worker died, and another one takes it up.
    BuildState.FETCHING: frozenset({BuildState.BUILDING, BuildState.QUEUED}) | _STOPPED,
    BuildState.BUILDING: frozenset({BuildState.PUSHING, BuildState.QUEUED}) | _STOPPED,
    BuildState.PUSHING: frozenset({BuildState.CHECKING, BuildState.QUEUED}) | _STOPPED,
    BuildState.CHECKING: frozenset({BuildState.SUCCEEDED}) | _STOPPED,
    BuildState.SUCCEEDED: frozenset(),
    BuildState.FAILED: frozenset(),
    BuildState.SUPERSEDED: frozenset(),
    BuildState.CANCELLED: frozenset(),
}

SESSION: Mapping[SessionState, frozenset[SessionState]] = {
    SessionState.WANTED: frozenset({SessionState.STARTING, SessionState.ENDED, SessionState.FAILED}),
    # Back to wanted: its worker died in the middle, and what it started is removed first.
    SessionState.STARTING: frozenset(
        {SessionState.STANDBY, SessionState.WANTED, SessionState.ENDED, SessionState.FAILED}
    ),
    SessionState.STANDBY: frozenset({SessionState.OPEN, SessionState.ENDED, SessionState.FAILED}),
    SessionState.OPEN: frozenset({SessionState.ENDED, SessionState.FAILED}),
    SessionState.ENDED: frozenset(),
    SessionState.FAILED: frozenset(),
}


_TABLES: Mapping[type[StrEnum], Mapping[Any, frozenset[Any]]] = {
    DeliveryState: DELIVERY,
    BuildState: BUILD,
    SessionState: SESSION,
}


def states_after(state: State) -> frozenset[State]:
    """Return the states that may follow `state`."""
    return _TABLES[type(state)][state]


def step(current: State, following: State) -> State:
    """Return `following`, if the table allows it after `current`.

    Raises: IllegalTransitionError.
    """
    if following not in states_after(current):
        raise IllegalTransitionError(f"no {type(current).__name__} goes from {current} to {following}")
    return following


def is_final(state: State) -> bool:
    """Whether nothing follows `state`."""
    return not states_after(state)


def states_before_end(kind: type[State]) -> tuple[State, ...]:
    """Return the states of a life cycle that something still follows."""
    return tuple(state for state in kind if not is_final(state))


def mermaid(kind: type[State]) -> str:
    """Draw a life cycle as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(kind))}"]
    for state in kind:
        after = states_after(state)
        lines += [f"    {state} --> {following}" for following in sorted(after)] or [f"    {state} --> [*]"]
    return "\n".join(lines) + "\n"
