"""What this process counts for Prometheus since it started: what no row of the store remembers.

`COUNTED` is the one table of it, from which the documentation is drawn. All labels are words that stand there, so that
no visitor and no repository makes them grow, and so that what has not happened yet is 0 and not missing: a rate of it
can be alerted on. Of several replicas each counts its own: Prometheus adds them up.

Source: https://prometheus.io/docs/practices/naming/
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from binder import __version__

Outcome = Literal["opened", "build_failed", "start_failed", "full", "too_many"]
Supply = Literal["hit", "miss"]

PROVIDERS: Final = ("gh", "gist", "gl", "git", "zenodo", "figshare", "dataverse", "hydroshare", "ckan", "local")
WAYS: Final = ("nothing", "content", "delta", "full")
PHASES: Final = ("fetch", "plan", "environment", "modules", "image", "content", "list", "other")
_NO_WAY: Final = "none"

# Answers of a store, and of GitHub.
_MOMENTS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# What somebody waits for.
_WAITS: Final = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300)
# Builds, from those that have nothing to do to those that make all.
_BUILDS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
# Sessions, from a look to a day's work.
_LIVES: Final = (60, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400)


@dataclass(frozen=True)
class Counted:
    """A figure: its name without what Prometheus puts behind it, its labels with all their values, its buckets."""

    name: str
    text: str
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    buckets: Sequence[float] = ()
    is_gauge: bool = False

    @property
    def type(self) -> str:
        """What Prometheus calls its kind."""
        return "gauge" if self.is_gauge else "histogram" if self.buckets else "counter"

    @property
    def shown_as(self) -> str:
        """Its name as it is asked for."""
        return f"{self.name}_total" if self.type == "counter" else self.name


COUNTED: Final[tuple[Counted, ...]] = (
    Counted(
        "binder_deliveries_received",
        "Deliveries that came, by what they were answered.",
        {"outcome": ("stored", "ignored", "duplicate", "refused", "not_stored")},
    ),
    Counted("binder_delivery_store_duration_seconds", "From a delivery's first byte to its answer.", {}, _MOMENTS),
    Counted(
        "binder_delivery_act_duration_seconds",
        "From when a delivery was stored to when it was acted on, by what became of it.",
        {"state": ("acted", "ignored", "stale", "failed")},
        _WAITS,
    ),
    Counted("binder_build_wait_duration_seconds", "From when a build was queued to its start.", {}, _WAITS),
    Counted(
        "binder_build_duration_seconds",
        "Builds from their start to the image, or to their end, by how they ended and in which way.",
        {"outcome": ("made", "failed", "stopped"), "way": (*WAYS, _NO_WAY)},
        _BUILDS,
    ),
    Counted(
        "binder_build_phase_duration_seconds",
        "What each phase of a build that made an image took; where there is a registry, pushing is part of them.",
        {"phase": PHASES},
        _BUILDS,
    ),
    Counted(
        "binder_build_check_duration_seconds",
        "From when a session of a new image was wanted to when its kernel had answered, or it was found not to.",
        {},
        _WAITS,
    ),
    Counted(
        "binder_notebook_run_duration_seconds",
        "What notebooks took that a repository has run before its commits are green; not those of an earlier run.",
        {"outcome": ("passed", "failed", "stopped")},
        _BUILDS,
    ),
    Counted(
        "binder_commit_duration_seconds",
        "From when a commit's build was queued to its final status.",
        {"outcome": ("succeeded", "failed", "superseded", "cancelled")},
        _BUILDS,
    ),
    Counted(
        "binder_build_faults",
        "Builds that failed, by the party at fault.",
        {"party": ("repository", "visitor", "operator", "world")},
    ),
    Counted(
        "binder_session_start_duration_seconds",
        "From when a session was wanted to when it could be opened, or had failed.",
        {"outcome": ("ready", "failed")},
        _WAITS,
    ),
    Counted("binder_session_standby_duration_seconds", "How long sessions waited for their visitor.", {}, _LIVES),
    Counted(
        "binder_session_open_duration_seconds", "How long sessions were open, from the click to the end.", {}, _LIVES
    ),
    Counted(
        "binder_launches",
        "Launches by how they ended, as often as somebody was told: opened is a session.",
        {"provider": PROVIDERS, "outcome": ("opened", "build_failed", "start_failed", "full", "too_many")},
    ),
    Counted(
        "binder_launch_duration_seconds",
        "From a click on what is built, to the session's address: hit, a standby was there; miss, one was started.",
        {"result": ("hit", "miss")},
        _WAITS,
    ),
    Counted(
        "binder_pool_claims",
        "Sessions opened: hit, a standby was there; miss, the visitor waited until one had been started.",
        {"result": ("hit", "miss")},
    ),
    Counted(
        "binder_reports",
        "Attempts to tell GitHub something, by what it is and how that ended.",
        {"kind": ("status", "check", "deployment", "comment"), "outcome": ("sent", "failed")},
    ),
    Counted(
        "binder_github_allowance_ratio",
        "The share of the hour's requests that is left to the installation that has least left, as GitHub last said.",
        is_gauge=True,
    ),
    Counted(
        "binder_garbage_removed",
        "What garbage collection removed: images, and files of the cache.",
        {"kind": ("image", "file")},
    ),
    Counted("binder_garbage_freed_bytes", "What that freed, at most."),
    Counted(
        "binder_garbage_run_timestamp_seconds",
        "When garbage was last looked for; 0: not since the start.",
        is_gauge=True,
    ),
)


class Figures:
    """Counts what happens in this process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Gauge("binder_service_info", "The version that runs.", ["version"], registry=self.registry).labels(
            __version__
        ).set(1)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for one in COUNTED:
            self._make(one)
        self._gauges["binder_github_allowance_ratio"].set(1)

    def _make(self, one: Counted) -> None:
        made: Counter | Gauge | Histogram
        if one.type == "counter":
            made = self._counters[one.name] = Counter(one.name, one.text, tuple(one.labels), registry=self.registry)
        elif one.type == "gauge":
            made = self._gauges[one.name] = Gauge(one.name, one.text, tuple(one.labels), registry=self.registry)
        else:
            made = self._histograms[one.name] = Histogram(
                one.name, one.text, tuple(one.labels), buckets=one.buckets, registry=self.registry
            )
        for values in itertools.product(*one.labels.values()) if one.labels else ():
            made.labels(*values)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter of `COUNTED`."""
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def measure(self, name: str, seconds: float, **labels: str) -> None:
        """Add a time to a histogram of `COUNTED`."""
        histogram = self._histograms[name]
        (histogram.labels(**labels) if labels else histogram).observe(max(0.0, seconds))

    def allowance_from(self, lowest: Callable[[], float]) -> None:
        """Have what is left of GitHub's requests asked of `lowest` whenever Prometheus asks."""
        self._gauges["binder_github_allowance_ratio"].set_function(lowest)

    def launched(self, provider: str, outcome: Outcome) -> None:
        """Count a launch that ended."""
        self.count("binder_launches", provider=provider, outcome=outcome)

    def claimed(self, result: Supply, seconds: float) -> None:
        """Count a session that was opened, `seconds` after it was first asked for."""
        self.count("binder_pool_claims", result=result)
        self.measure("binder_launch_duration_seconds", seconds, result=result)

    def built(self, seconds: float, way: str | None, party: str | None) -> None:
        """Count a build that ended.

        `way` is how its image was made, `party` who is at fault that there is none; neither: it was stopped.
        """
        outcome = "made" if way else "failed" if party else "stopped"
        self.measure("binder_build_duration_seconds", seconds, outcome=outcome, way=way or _NO_WAY)
        if party:
            self.count("binder_build_faults", party=party)

    def collected(self, *, images: int, files: int, freed_bytes: int, at: float) -> None:
        """Count what a collection of garbage removed, and when (seconds since 1970) it was."""
        self.count("binder_garbage_removed", images, kind="image")
        self.count("binder_garbage_removed", files, kind="file")
        self.count("binder_garbage_freed_bytes", freed_bytes)
        self._gauges["binder_garbage_run_timestamp_seconds"].set(at)
