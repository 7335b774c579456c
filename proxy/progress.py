"""How far a launch is, in the words of the page that shows it, and how long such builds usually take. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median
from typing import Any, Final, Literal

from binder.build_words import words_of_layers, words_of_time
from binder.lifecycle import BuildState
from binder.store.tables import Build

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
_RUNS_NOTEBOOKS: Final = "Running its notebooks"
# A build that is not over is never said to be done, however long the others took.
_MOST_PERCENT: Final = 99
_FETCHING: Final = frozenset({"fetch", "plan"})


@dataclass(frozen=True)
class Step:
    """One line of the page."""

    label: str
    status: Literal["done", "now", "later"]


@dataclass(frozen=True)
class Past:
    """A build that succeeded: its phases' seconds, all of its seconds, and the kinds of the layers that it made."""

    phases: Mapping[str, float]
    took: float
    made: frozenset[str]


@dataclass(frozen=True)
class Progress:
    """The steps; `end` says what the visitor's browser does next: go to the session, show the failure, or ask again.

    `percent` is the share that is done as far as earlier builds tell, None where they do not; `facts` is what is known
    besides, in words: how long it usually takes, and what is re-used.
    """

    steps: tuple[Step, ...]
    end: End | None = None
    percent: int | None = None
    facts: str = ""


def progress_of(build: Build, past: Sequence[Past], now: datetime, *, has_standby: bool, is_coming: bool) -> Progress:
    """Return how far a launch is; the sessions are those of the build's image, `past` earlier builds like it."""
    order = [step for step, _ in STEPS]
    # The image is there, a session of it is not: that is the last step, also where no build ran for this visitor.
    at = order.index(build.state) if build.state in order else len(order) - 1
    steps = tuple(
        Step(
            _RUNS_NOTEBOOKS if number == at and build.awaits_check else label,
            "done" if number < at else "now" if number == at else "later",
        )
        for number, (_, label) in enumerate(STEPS)
    )
    steps = (*steps[:-1], replace(steps[-1], label=steps[-1].label + _beside(build.result or {})))
    alike = _alike(build, past) if build.state in order else []
    words = (_words_of(alike), words_of_layers((build.result or {}).get("layers")))
    return Progress(
        steps,
        _end_of(build.state, has_standby=has_standby, is_coming=is_coming),
        _percent_of(build, alike, now) if alike else None,
        "; ".join(filter(None, words)),
    )


def words_of_state(build: Build) -> str:
    """Return what a build is at."""
    return _RUNS_NOTEBOOKS if build.awaits_check and build.state is BuildState.CHECKING else STATE_WORDS[build.state]


def made_of(result: Mapping[str, Any]) -> frozenset[str]:
    """Return the kinds of the layers that a build made, or is to make, by its result."""
    return frozenset(layer["kind"] for layer in result.get("layers") or () if not layer.get("reused"))


def _beside(result: Mapping[str, Any]) -> str:
    """Return what is started with a notebook server: ` with PostgreSQL and Redis`."""
    titles = [module["title"] for module in result.get("modules") or ()]
    *most, last = titles or [""]
    return f" with {', '.join(most)}{' and ' if most else ''}{last}" if titles else ""


def _alike(build: Build, past: Sequence[Past]) -> Sequence[Past]:
    """Return the builds that had as much to do; all of them, until it is known what this one re-uses."""
    result = build.result or {}
    return [one for one in past if one.made == made_of(result)] if result.get("layers") else past


def _words_of(alike: Sequence[Past]) -> str:
    if not alike:
        return ""
    return f"{'Usually' if len(alike) > 1 else 'Last time'} {words_of_time(median(one.took for one in alike))}"


def _percent_of(build: Build, alike: Sequence[Past], now: datetime) -> int:
    """Return the share by the time that has passed, but never outside of what the build's state says."""
    if build.state is BuildState.QUEUED or build.started_at is None:
        return 0
    fetched = median(sum(one.phases[phase] for phase in one.phases.keys() & _FETCHING) for one in alike)
    made = median(sum(one.phases.values()) for one in alike)
    took = max(median(one.took for one in alike), made, 0.001)
    begin, end = {BuildState.FETCHING: (0.0, fetched), BuildState.BUILDING: (fetched, made)}.get(
        build.state, (made, took)
    )
    passed = (now - build.started_at).total_seconds()
    return min(_MOST_PERCENT, int(100 * max(begin, min(end, passed)) / took))


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
