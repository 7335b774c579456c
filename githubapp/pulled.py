"""Fetches deliveries from GitHub, where GitHub cannot deliver them: behind a firewall.

GitHub keeps what it could not deliver for some days, and shows it to the App. Which of it is here already the store
knows, as for deliveries that are received; so it does no harm when one comes both ways.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol

from binder.log import logger
from binder.store.tables import utc_now
from githubapp.deliveries import parse
from githubapp.events import Refusal
from githubapp.faults import GitHubRefusalError
from githubapp.hook_deliveries import WINDOW, DeliveryList, listed
from githubapp.inbox import Inbox
from githubapp.values import HookDelivery

log = logger(__name__)

# 720 looks an hour, of the 5,000 requests that an App has. Asking only for what changed would save none of them: to
# GitHub each JWT is somebody else, and what it last told him is not remembered for the next.
# Source: https://github.com/eclipse-csi/otterdog/issues/201
EVERY_SECONDS: Final = 5.0

_REMEMBERED = 1000


class GitHub(DeliveryList, Protocol):
    """Where deliveries are fetched."""

    async def delivery_payload(self, delivery_id: int) -> Mapping[str, Any]:
        """Return what a delivery says."""


def missing(new: Sequence[HookDelivery], known: Collection[str]) -> list[HookDelivery]:
    """Return the deliveries that are not here, each event once, the oldest first; `new` is the newest first."""
    once = {one.guid: one for one in new if one.guid not in known}
    return sorted(once.values(), key=lambda one: (one.delivered_at, one.id))


class PulledDeliveries:
    """Looks through the deliveries of the last days once, and after that through those that are new."""

    def __init__(self, github: GitHub, inbox: Inbox) -> None:
        self._github = github
        self._inbox = inbox
        self._seen: frozenset[int] = frozenset()

    async def look(self) -> None:
        """Take all that is not here yet.

        Raises: BinderError; what was taken until then stays.
        """
        since = utc_now() - WINDOW
        new = await listed(self._github, lambda one: one.id not in self._seen and one.delivered_at >= since)
        known = await self._inbox.intake.known({one.guid for one in new})
        for one in missing(new, known):
            await self._take(one)
        self._seen = frozenset(sorted(self._seen.union(one.id for one in new))[-_REMEMBERED:])

    async def _take(self, one: HookDelivery) -> None:
        headers = {"content-type": "application/json", "x-github-delivery": one.guid, "x-github-event": one.event}
        try:
            payload = await self._github.delivery_payload(one.id)
            outcome = await self._inbox.keep(parse(headers, json.dumps(payload).encode()))
        except (Refusal, GitHubRefusalError) as error:
            log.warning("delivery_refused", delivery=one.guid, status=error.status, reason=error.message)
        else:
            log.info("delivery_pulled", delivery=one.guid, name=one.event, outcome=outcome)
