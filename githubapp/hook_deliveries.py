"""Reads GitHub's list of deliveries, page by page, as far as it is of interest and no further than a bound.

Source: https://docs.github.com/en/rest/apps/webhooks#list-deliveries-for-an-app-webhook
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from binder.log import logger
from githubapp.values import DeliveryPage, HookDelivery

log = logger(__name__)

# What is older, GitHub forgets, and takes no order to deliver again.
WINDOW: Final = timedelta(days=3)

_MOST_PAGES = 50


class DeliveryList(Protocol):
    """Where deliveries are listed."""

    async def deliveries(self, *, failed: bool = False, cursor: str | None = None) -> DeliveryPage:
        """Return a page of what was, or was to be, delivered, the newest first."""


async def listed(
    github: DeliveryList, is_wanted: Callable[[HookDelivery], bool], *, failed: bool = False
) -> list[HookDelivery]:
    """Return the wanted deliveries, the newest first, up to the first page that has one which is not wanted.

    Raises: BinderError.
    """
    found: list[HookDelivery] = []
    cursor = None
    for _ in range(_MOST_PAGES):
        page = await github.deliveries(failed=failed, cursor=cursor)
        wanted = [one for one in page.items if is_wanted(one)]
        found += wanted
        cursor = page.cursor
        if cursor is None or len(wanted) < len(page.items):
            return found
    log.warning("deliveries_left", looked_at=len(found))  # comparing heads makes up for them
    return found
