"""How long an open session lasts, decided: whether one is to end now, when it will, and when its visitor is told.

Pure. It is asked by the pool, which ends sessions, and by the proxy, which tells of it before.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from binder.settings import Settings
from deploy.facts import Patience, Usage

NOTICE_BEFORE = timedelta(minutes=10)
_LOOK_EVERY = timedelta(minutes=1)
# One that is due is ended within the next rounds of the pool.
_LOOK_SOON = timedelta(seconds=5)


@dataclass(frozen=True)
class Expiry:
    """When a session will be ended, if nothing happens until then.

    `lasts` is how long it may be: without use ("idle"), computing without use ("computing"), or open at all ("age").
    """

    at: datetime
    reason: Literal["idle", "computing", "age"]
    lasts: timedelta

    @property
    def told_at(self) -> datetime:
        """When to tell its visitor; not from its start, where it lasts for minutes only."""
        return self.at - min(NOTICE_BEFORE, self.lasts / 2)

    @property
    def can_be_put_off(self) -> bool:
        """Whether using the session would put the end off."""
        return self.reason != "age"

    @property
    def sentence(self) -> str:
        """Why, in a sentence for its visitor."""
        lasts = words_of(self.lasts)
        match self.reason:
            case "idle":
                return f"Sessions that nobody uses are ended after {lasts}."
            case "computing":
                return f"Sessions that compute, and that nobody looks at, are ended after {lasts}."
            case "age":
                return f"No session may be open for longer than {lasts}."

    def look_again_in(self, now: datetime) -> timedelta:
        """Return when to ask anew: when there is something to tell, and then often enough to take it back."""
        if now < self.told_at:
            return self.told_at - now
        return min(_LOOK_EVERY, max(_LOOK_SOON, self.at - now))


def patience_of(settings: Settings) -> Patience:
    """Return how long sessions are kept."""
    return Patience(
        idle=timedelta(seconds=settings.session_idle_seconds),
        busy=timedelta(seconds=settings.session_busy_seconds),
        age=timedelta(seconds=settings.session_age_seconds),
    )


def expiry_of(opened_at: datetime, used_at: datetime, usage: Usage, patience: Patience, now: datetime) -> Expiry:
    """Return when a session that was opened at `opened_at` will end; `used_at` and `usage` as for `judge_usage`."""
    lasts = _unused_for(usage, patience)
    unused = Expiry(_latest(used_at, usage, now) + lasts, "computing" if usage.is_busy else "idle", lasts)
    aged = Expiry(opened_at + patience.age, "age", patience.age)
    return min(aged, unused, key=lambda expiry: expiry.at)


def judge_usage(used_at: datetime, usage: Usage, patience: Patience, now: datetime) -> tuple[datetime, str | None]:
    """Return when a session was last used, and why it is to end, None where it is not.

    `used_at` is what was known of it; `usage` is what its server says, which no clock of ours may run behind. A kernel
    that computes is use up to a limit.
    """
    latest = _latest(used_at, usage, now)
    unused = now - latest
    if unused < _unused_for(usage, patience):
        return latest, None
    if usage.is_busy:
        return latest, f"It computed for {words_of(unused)}, and nobody looked at it."
    return latest, f"Nobody used it for {words_of(patience.idle)}."


def _latest(used_at: datetime, usage: Usage, now: datetime) -> datetime:
    return max(used_at, min(usage.at or used_at, now))


def _unused_for(usage: Usage, patience: Patience) -> timedelta:
    return max(patience.busy, patience.idle) if usage.is_busy else patience.idle


def words_of(span: timedelta) -> str:
    """Return a time span as visitors read it."""
    minutes = span.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{round(minutes / 60, 1):g} h"
