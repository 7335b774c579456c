"""What a builder's pod says about its build: one line for each thing that happened, numbered, as JSON. Pure.

Each line begins with a mark that only the pod and whoever gave the order know. What a repository prints is inside of a
line's JSON, and knows no mark: nothing that ends up among the lines by another way can pass for one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from binder.errors import BinderError, OperatorFault, RepositoryFault, VisitorFault, WorldFault
from binder.lifecycle import BuildState
from build.pipeline import Built
from build.ways import BuiltLayer

LONGEST_LINE_BYTES = 8 * 2**20
"""No line is longer: the longest tells what packages an image holds."""

HEARTBEAT_SECONDS = 10.0
"""How often a pod says at least that it is there."""

_LONGEST_STRANGE = 500
_MOST_STRANGE = 20


@dataclass(frozen=True)
class Said:
    """A line of the build's log."""

    text: str


@dataclass(frozen=True)
class Entered:
    """The build entered a state."""

    state: BuildState


@dataclass(frozen=True)
class Planned:
    """It is known which layers the image will have."""

    layers: tuple[BuiltLayer, ...]


@dataclass(frozen=True)
class Lives:
    """Nothing happened for a while, and the pod is there."""


@dataclass(frozen=True)
class Made:
    """The image is made. It is the last line."""

    built: Built


@dataclass(frozen=True)
class Failed:
    """The build failed by somebody's fault. It is the last line."""

    party: Literal["repository", "visitor", "operator", "world"]
    message: str
    file: str | None = None
    line: int | None = None
    step: str | None = None


Event = Said | Entered | Planned | Lives | Made | Failed

_KINDS: dict[str, type[Event]] = {one.__name__.lower(): one for one in (Said, Entered, Planned, Lives, Made, Failed)}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_ADAPTERS: dict[str, TypeAdapter[Event]] = {name: TypeAdapter(kind) for name, kind in _KINDS.items()}
_FAULTS = {"visitor": VisitorFault, "operator": OperatorFault, "world": WorldFault}


def line_of(mark: str, number: int, event: Event) -> str:
    """Return the line, without its end, that says an event; lines are counted from 1."""
    name = _NAMES[type(event)]
    told: Any = _ADAPTERS[name].dump_python(event, mode="json")
    # Escaped to ASCII: whatever the text holds, it is one line, and UTF-8.
    return f"{mark} {json.dumps({'number': number, 'event': name, 'is': told})}"


def event_in(mark: str, line: str) -> tuple[int, Event] | None:
    """Return the number and the event that a line says; None for a line that is none of ours."""
    begins, _, text = line.partition(" ")
    if begins != mark:
        return None
    try:
        found = json.loads(text)
        number, name = found["number"], found["event"]
        if type(number) is not int or number < 1:
            return None
        return number, _ADAPTERS[name].validate_python(found["is"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def failed_by(fault: BinderError) -> Failed:
    """Return what is said of a fault."""
    if isinstance(fault, RepositoryFault):
        return Failed("repository", fault.message, fault.file, fault.line, fault.step)
    return Failed(fault.party, fault.message)


def fault_of(failed: Failed) -> BinderError:
    """Return the fault that was said."""
    if failed.party == "repository":
        return RepositoryFault(failed.message, file=failed.file, line=failed.line, step=failed.step)
    return _FAULTS[failed.party](failed.message)


class Lines:
    """Takes pieces of a pod's log, and gives each event once, however often the log is read from its beginning."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._rest = b""
        self._last = 0
        self.strange: Sequence[str] = ()
        """The last lines that were none of ours: what the pod's programs said that should not have said anything."""

    def begin(self) -> None:
        """Begin with the log anew; a line that was broken off comes again."""
        self._rest = b""

    def take(self, piece: bytes) -> list[Event]:
        """Take the next piece of the log, and return the events that are new."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > LONGEST_LINE_BYTES:
            self._rest = b""  # what is left of the line is none of ours then
        return [event for line in lines if (event := self._new(line.decode(errors="replace")))]

    def _new(self, line: str) -> Event | None:
        if (found := event_in(self._mark, line)) is None:
            if line.strip():
                self.strange = (*self.strange, line[:_LONGEST_STRANGE])[-_MOST_STRANGE:]
            return None
        number, event = found
        if number <= self._last:
            return None
        self._last = number
        return event
