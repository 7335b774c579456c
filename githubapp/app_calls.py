"""What the App asks GitHub about itself: what it may do, what was delivered to it, and that something come again."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from githubapp.connection import Connection
from githubapp.values import AppFacts, DeliveryPage, HookDelivery

_PAGE = 100
_NEXT_CURSOR = re.compile(r'[?&]cursor=([^&>]+)[^>]*>; *rel="next"')


class AppCalls:
    """GitHub, as the App itself. Every method may raise what `Connection.call` raises."""

    def __init__(self, app: Connection) -> None:
        self._app = app

    async def facts(self) -> AppFacts:
        """Return what GitHub knows of the App."""
        _, answer = await self._ask("GET", "/app")
        return AppFacts(answer["html_url"], dict(answer["permissions"]), list(answer["events"]))

    async def deliveries(self, *, failed: bool = False, cursor: str | None = None) -> DeliveryPage:
        """Return a page of what was, or was to be, delivered to the App; with `failed`, only of what did not arrive."""
        asked = {"per_page": _PAGE} | ({"status": "failure"} if failed else {}) | ({"cursor": cursor} if cursor else {})
        headers, items = await self._ask("GET", "/app/hook/deliveries", asked)
        following = _NEXT_CURSOR.search(headers.get("link", ""))
        return DeliveryPage([_delivery_of(one) for one in items], unquote(following[1]) if following else None)

    async def delivery_payload(self, delivery_id: int) -> Mapping[str, Any]:
        """Return what a delivery says."""
        _, answer = await self._ask("GET", f"/app/hook/deliveries/{delivery_id}")
        payload: Mapping[str, Any] = answer["request"]["payload"]
        return payload

    async def deliver_again(self, delivery_id: int) -> None:
        """Have a delivery come once more, under the same guid."""
        await self._ask("POST", f"/app/hook/deliveries/{delivery_id}/attempts")

    async def _ask(
        self, verb: str, path: str, parameters: Mapping[str, Any] | None = None
    ) -> tuple[Mapping[str, str], Any]:
        """Return the headers, their names in lower case, and the answer."""
        asked = dict(parameters) if parameters else None
        return await self._app.call(lambda github: github.requester.requestJsonAndCheck(verb, path, parameters=asked))


def _delivery_of(item: Mapping[str, Any]) -> HookDelivery:
    when = datetime.fromisoformat(item["delivered_at"])
    return HookDelivery(item["id"], item["guid"], item["event"], when, item["status"], item["status_code"])
