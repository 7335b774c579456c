"""What this process has counted since it started, for Prometheus: what no row of the store remembers.

Pure but for its own numbers. All labels are words of ours, so that no visitor makes them grow. Of several replicas each
counts its own: Prometheus adds them up.
"""

from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

Outcome = Literal["opened", "build_failed", "start_failed", "full", "too_many"]
Supply = Literal["hit", "miss"]

_BUILD_SECONDS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
_NO_WAY: Final = "none"


class Figures:
    """Counts launches and builds."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._launches = Counter(
            "binder_launches",
            "Launches by how they ended, as often as somebody was told: opened is a session.",
            ["provider", "outcome"],
            registry=self.registry,
        )
        self._supply = Counter(
            "binder_pool_claims",
            "Sessions opened: hit, a standby was there; miss, the visitor waited until one had been started.",
            ["result"],
            registry=self.registry,
        )
        self._builds = Histogram(
            "binder_build_duration_seconds",
            "Builds from their start to the image, or to their end: made, failed or stopped, and in which way.",
            ["outcome", "way"],
            buckets=_BUILD_SECONDS,
            registry=self.registry,
        )
        self._faults = Counter(
            "binder_build_faults", "Builds that failed, by the party at fault.", ["party"], registry=self.registry
        )
        # What has not happened yet is 0, and not missing: a rate of it can be alerted on.
        for result in ("hit", "miss"):
            self._supply.labels(result)

    def launched(self, provider: str, outcome: Outcome) -> None:
        """Count a launch that ended."""
        self._launches.labels(provider, outcome).inc()

    def claimed(self, result: Supply) -> None:
        """Count a session that was opened."""
        self._supply.labels(result).inc()

    def built(self, seconds: float, way: str | None, party: str | None) -> None:
        """Count a build that ended.

        `way` is how its image was made, `party` who is at fault that there is none; neither: it was stopped.
        """
        outcome = "made" if way else "failed" if party else "stopped"
        self._builds.labels(outcome, way or _NO_WAY).observe(seconds)
        if party:
            self._faults.labels(party).inc()
