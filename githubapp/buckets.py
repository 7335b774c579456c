"""How much may be told to GitHub now, and whom to serve next: a bucket per installation, inside GitHub's limits. Pure.

A bucket is of one process. Where several tell GitHub, its own refusals hold them back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["status", "check", "deployment", "comment"]

KINDS: Final[tuple[Kind, ...]] = ("status", "check", "deployment", "comment")
"""In the order of their importance."""

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
# GitHub allows 80 and 500; the deliveries' own questions count as points too.
# Source: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits
_WRITES_A_MINUTE, _WRITES_AN_HOUR, _POINTS_A_MINUTE = 60, 400, 900
# What a status always finds left for it.
_KEPT_FOR_STATUSES = 0.25


@dataclass(frozen=True)
class Cost:
    """What it takes to send a report, at most: calls that create something, and points (a look is 1, a write 5)."""

    writes: int
    points: int


COSTS: Final[Mapping[Kind, Cost]] = {
    "status": Cost(1, 6),
    "check": Cost(1, 6),
    "deployment": Cost(2, 12),
    "comment": Cost(1, 6),
}


@dataclass(frozen=True)
class Bucket:
    """What was spent on one installation during the last hour, oldest first."""

    spent: tuple[tuple[datetime, Cost], ...] = ()

    def after(self, kind: Kind, now: datetime) -> "Bucket":
        """Return the bucket once a report of this kind was sent."""
        return Bucket((*self._since(now - _HOUR), (now, COSTS[kind])))

    def has_room(self, kind: Kind, now: datetime) -> bool:
        """Whether a report of this kind may be sent."""
        share = 1.0 if kind == "status" else 1.0 - _KEPT_FOR_STATUSES
        hour, minute = self._since(now - _HOUR), self._since(now - _MINUTE)
        cost = COSTS[kind]
        return (
            _writes(hour) + cost.writes <= _WRITES_AN_HOUR * share
            and _writes(minute) + cost.writes <= _WRITES_A_MINUTE * share
            and sum(one.points for _, one in minute) + cost.points <= _POINTS_A_MINUTE * share
        )

    def is_empty(self, now: datetime) -> bool:
        """Whether nothing of the last hour counts any more."""
        return not self._since(now - _HOUR)

    def _since(self, begin: datetime) -> tuple[tuple[datetime, Cost], ...]:
        return tuple(one for one in self.spent if one[0] > begin)


def _writes(spent: Collection[tuple[datetime, Cost]]) -> int:
    return sum(one.writes for _, one in spent)


def in_turn(
    waiting: Mapping[int, Collection[str]], buckets: Mapping[int, Bucket], now: datetime
) -> list[tuple[int, Kind]]:
    """Return what may be sent next, (installation, kind), the best first.

    `waiting` maps installations to the kinds of report that are due. The installation that was told something the
    longest ago comes first, and of each one the most important kind.
    """
    long_ago = datetime.min.replace(tzinfo=now.tzinfo)

    def last_served(installation: int) -> tuple[datetime, int]:
        spent = buckets.get(installation, Bucket()).spent
        return (spent[-1][0] if spent else long_ago, installation)

    return [
        (installation, kind)
        for installation in sorted(waiting, key=last_served)
        for kind in KINDS
        if kind in waiting[installation] and buckets.get(installation, Bucket()).has_room(kind, now)
    ]
