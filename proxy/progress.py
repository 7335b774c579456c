"""How far a launch is, in the words of the page that shows it. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

from binder.lifecycle import BuildState

End = Literal["ready", "failed", "again"]

STEPS: Final[tuple[tuple[BuildState, str], ...]] = (
    (BuildState.QUEUED, "Waiting for its turn"),
    (BuildState.FETCHING, "Fetching the commit"),
    (BuildState.BUILDING, "Building the environment"),
    (BuildState.PUSHING, "Storing the image"),
    (BuildState.CHECKING, "Starting the notebook server"),
)
STATE_WORDS: Final[dict[BuildState, str]] = dict(STEPS) | {
    BuildState.SUCCEEDED: "Succeeded",
    BuildState.FAILED: "Failed",
    BuildState.SUPERSEDED: "Superseded by a newer commit",
    BuildState.CANCELLED: "Cancelled",
}


@dataclass(frozen=True)
class Step:
    """One line of the page."""

    label: str
    status: Literal["done", "now", "later"]


@dataclass(frozen=True)
class Progress:
    """The steps; `end` says what the visitor's browser does next: go to the session, show the failure, or ask again."""

    steps: tuple[Step, ...]
    end: End | None = None


def progress_of(state: BuildState, *, has_standby: bool, is_coming: bool) -> Progress:
    """Return how far a launch is; the sessions are those of the build's image."""
    order = [step for step, _ in STEPS]
    # The image is there, a session of it is not: that is the last step, also where no build ran for this visitor.
    at = order.index(state) if state in order else len(order) - 1
    steps = tuple(
        Step(label, "done" if number < at else "now" if number == at else "later")
        for number, (_, label) in enumerate(STEPS)
    )
    return Progress(steps, _end_of(state, has_standby=has_standby, is_coming=is_coming))


def _end_of(state: BuildState, *, has_standby: bool, is_coming: bool) -> End | None:
    match state:
        case BuildState.FAILED:
            return "failed"
        case BuildState.SUCCEEDED:
            return "ready" if has_standby else None if is_coming else "again"
        case BuildState.SUPERSEDED | BuildState.CANCELLED:
            return "again"
        case _:
            return None
