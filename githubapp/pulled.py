"""Fetches deliveries from GitHub, where GitHub cannot deliver them: behind a firewall.

GitHub keeps what it could not deliver for some days, and shows it to the App. Which of it is here already the store
knows, as for deliveries that are received; so it does no harm when one comes both ways.

Source: https://docs.github.com/en/rest/apps/webhooks#list-deliveries-for-an-app-webhook
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from binder.log import logger
from binder.store.tables import utc_now
from githubapp.deliveries import parse
from githubapp.events import Refusal
from githubapp.faults import GitHubRefusalError
from githubapp.inbox import Inbox
from githubapp.values import DeliveryPage, HookDelivery

log = logger(__name__)

# 720 looks an hour, of the 5,000 requests that an App has. Asking only for what changed would save none of them: to
# GitHub each JWT is somebody else, and what it last told him is not remembered for the next.
EVERY_SECONDS: Final = 5.0

_WINDOW = timedelta(days=3)
_MOST_PAGES = 50
_REMEMBERED = 1000


class GitHub(Protocol):
    """Where deliveries are fetched."""

    async def deliveries(self, *, failed: bool = False, cursor: str | None = None) -> DeliveryPage:
        """Return a page of what was, or was to be, delivered, the newest first."""

    async def delivery_payload(self, delivery_id: int) -> Mapping[str, Any]:
        """Return what a delivery says."""


def missing(listed: Sequence[HookDelivery], known: Collection[str]) -> list[HookDelivery]:
    """Return the deliveries that are not here, each event once, the oldest first; `listed` is the newest first."""
    once = {one.guid: one for one in listed if one.guid not in known}
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
        listed = await self._listed(utc_now() - _WINDOW)
        known = await self._inbox.intake.known({one.guid for one in listed})
        for one in missing(listed, known):
            await self._take(one)
        self._seen |= {one.id for one in listed}
        self._seen = frozenset(sorted(self._seen)[-_REMEMBERED:])

    async def _listed(self, since: datetime) -> list[HookDelivery]:
        listed: list[HookDelivery] = []
        cursor = None
        for _ in range(_MOST_PAGES):
            page = await self._github.deliveries(cursor=cursor)
            new = [one for one in page.items if one.id not in self._seen and one.delivered_at >= since]
            listed += new
            cursor = page.cursor
            if cursor is None or len(new) < len(page.items):
                return listed
        log.warning("deliveries_left", looked_at=len(listed))  # comparing heads makes up for them
        return listed

    async def _take(self, one: HookDelivery) -> None:
        headers = {"content-type": "application/json", "x-github-delivery": one.guid, "x-github-event": one.event}
        try:
            payload = await self._github.delivery_payload(one.id)
            outcome = await self._inbox.keep(parse(headers, json.dumps(payload).encode()))
        except (Refusal, GitHubRefusalError) as error:
            log.warning("delivery_refused", delivery=one.guid, status=error.status, reason=error.message)
        else:
            log.info("delivery_pulled", delivery=one.guid, name=one.event, outcome=outcome)
