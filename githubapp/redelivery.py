"""Has GitHub deliver again what failed, which it never does by itself: while the service was away, or could not store.

What was tried, and when, GitHub's own list tells: nothing of it is kept here, and a restart forgets nothing.

Source: https://docs.github.com/en/webhooks/using-webhooks/automatically-redelivering-failed-deliveries-for-a-github-app-webhook
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from binder.log import logger
from binder.store.tables import utc_now
from githubapp.faults import GitHubRefusalError
from githubapp.hook_deliveries import WINDOW, DeliveryList, listed
from githubapp.intake import Intake
from githubapp.values import HookDelivery

log = logger(__name__)

EVERY_SECONDS: Final = 180.0

_PAUSES = (timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=2))
_MOST_AT_ONCE = 50


class GitHub(DeliveryList, Protocol):
    """Where failed deliveries are listed, and ordered again."""

    async def deliver_again(self, delivery_id: int) -> None:
        """Have a delivery come once more, under the same guid."""


def due(failed: Sequence[HookDelivery], known: Collection[str], now: datetime) -> list[HookDelivery]:
    """Return the failed attempts that are to be made once more, one for each event, the oldest first.

    `failed` holds all that failed within the window. An event is tried again three times at most, after longer and
    longer pauses; not at all where it is `known`, or too old.
    """
    attempts: defaultdict[str, list[HookDelivery]] = defaultdict(list)
    for one in sorted(failed, key=lambda one: (one.delivered_at, one.id)):
        attempts[one.guid].append(one)
    chosen = [made[-1] for guid, made in attempts.items() if guid not in known and _is_due(made, now)]
    return sorted(chosen, key=lambda one: (one.delivered_at, one.id))


def _is_due(made: Sequence[HookDelivery], now: datetime) -> bool:
    again = len(made) - 1
    if again >= len(_PAUSES) or now - made[0].delivered_at > WINDOW:
        return False
    return now - made[-1].delivered_at >= _PAUSES[again]


class Redelivery:
    """Looks for what failed, and orders it again."""

    def __init__(self, github: GitHub, intake: Intake) -> None:
        self._github = github
        self._intake = intake

    async def look(self) -> None:
        """Order all that is due; what is beyond a bound waits for the next look.

        Raises: BinderError.
        """
        now = utc_now()
        failed = await listed(self._github, lambda one: now - one.delivered_at <= WINDOW, failed=True)
        known = await self._intake.known({one.guid for one in failed})
        for one in due(failed, known, now)[:_MOST_AT_ONCE]:
            await self._order(one)

    async def _order(self, one: HookDelivery) -> None:
        try:
            await self._github.deliver_again(one.id)
        except GitHubRefusalError as error:
            log.warning("delivery_not_ordered", delivery=one.guid, status=error.status, reason=error.message)
        else:
            log.info("delivery_ordered_again", delivery=one.guid, name=one.event)
