"""Faults on demand: what goes wrong next, how often, and for whom.

Owns the list of faults that are still due. Faults of deliveries are carried out by `deliveries`, faults of requests by
`FaultLine`, which stands in front of the whole application (and leaves the control surface alone).
"""

import asyncio
import itertools
import json
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from githubapp.sandbox.access import DOCUMENTATION

if TYPE_CHECKING:
    from githubapp.sandbox.values import Json

DeliveryFault: TypeAlias = Literal["lost", "failed", "vanished", "late", "twice", "swapped", "without_installation"]
RequestFault: TypeAlias = Literal["status", "rate_limited", "secondary_rate_limited", "fail_after_effect", "slow"]

LONGEST_SECONDS = 600.0
_RESET_SECONDS = 60.0
_DELIVERY_KINDS = frozenset(get_args(DeliveryFault))
_REQUEST_KINDS = frozenset(get_args(RequestFault))
_UNTOUCHED = "/sandbox/"
_LIMITS_PAGE = f"{DOCUMENTATION}/using-the-rest-api/rate-limits-for-the-rest-api"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong `count` more times.

    Deliveries: `lost` (recorded as timed out), `failed` (recorded as answered with `status` by something in front of
    the App, which never saw it), `vanished` (not even recorded), `late` (by `seconds`), `twice`,
    `swapped` (after the next one), `without_installation`; `event` narrows them to one event.
    Requests: `status` answers `status` instead; `rate_limited` and `secondary_rate_limited` answer 403 or 429, as
    `status` says, with `Retry-After` where `retry_after_seconds` is given, the former reset after `seconds`;
    `fail_after_effect` does the work and then answers `status`; `slow` waits `seconds` first. `method` and `path` (a
    regular expression that is searched for) narrow them.
    """

    id: int
    kind: DeliveryFault | RequestFault
    count: int = 1
    seconds: float = 0.0
    event: str | None = None
    method: str | None = None
    path: str = ""
    status: int = 502
    message: str = "Server Error"
    retry_after_seconds: int | None = None

    def strikes_delivery(self, event: str) -> bool:
        return self.kind in _DELIVERY_KINDS and self.event in {None, event}

    def strikes_request(self, method: str, path: str) -> bool:
        if self.kind not in _REQUEST_KINDS or (self.method and self.method.upper() != method):
            return False
        return re.search(self.path, path) is not None


class Faults:
    """The faults that are still due, oldest first; each delivery and each request meets at most one."""

    def __init__(self) -> None:
        self.due: list[Fault] = []
        self._ids = itertools.count(1)

    def add(self, fault: Fault) -> Fault:
        """Add `fault`, under a number of its own.

        Raises: ValueError, for one that could never strike or would strike without end.
        """
        try:
            re.compile(fault.path)
        except re.error as error:
            raise ValueError(f"path is not a regular expression: {error}") from None
        if (
            not 1 <= fault.count <= 10_000
            or not 0 <= fault.seconds <= LONGEST_SECONDS
            or not 200 <= fault.status <= 599
        ):
            raise ValueError("count is 1 to 10000, seconds 0 to 600, status 200 to 599")
        numbered = replace(fault, id=next(self._ids))
        self.due.append(numbered)
        return numbered

    def clear(self) -> None:
        self.due.clear()

    def next_for_delivery(self, event: str) -> Fault | None:
        return self._take(next((fault for fault in self.due if fault.strikes_delivery(event)), None))

    def next_for_request(self, method: str, path: str) -> Fault | None:
        return self._take(next((fault for fault in self.due if fault.strikes_request(method, path)), None))

    def _take(self, fault: Fault | None) -> Fault | None:
        if fault is None:
            return None
        place = self.due.index(fault)
        if fault.count > 1:
            self.due[place] = replace(fault, count=fault.count - 1)
        else:
            del self.due[place]
        return fault


class FaultLine:
    """ASGI middleware that carries out the faults of requests."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = None
        if scope["type"] == "http" and not scope["path"].startswith(_UNTOUCHED):
            fault = self._faults.next_for_request(scope["method"], scope["path"])
        if fault is None or fault.kind == "slow":
            await asyncio.sleep(fault.seconds if fault else 0)
            await self._app(scope, receive, send)
            return
        if fault.kind == "fail_after_effect":
            await self._app(scope, receive, _discard)
        await _answer(fault)(scope, receive, send)


async def _discard(_message: Message) -> None:
    """Send nothing of what was answered."""


def _answer(fault: Fault) -> Response:
    body: Json = {"message": fault.message, "documentation_url": DOCUMENTATION, "status": str(fault.status)}
    headers: dict[str, str] = {}
    if fault.kind == "rate_limited":
        body = {"message": "API rate limit exceeded for installation.", "documentation_url": _LIMITS_PAGE}
        headers |= {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-used": "5000"}
        headers["x-ratelimit-resource"] = "core"
        reset_seconds = fault.seconds or fault.retry_after_seconds or _RESET_SECONDS
        headers["x-ratelimit-reset"] = str(int(time.time() + reset_seconds))
    if fault.kind == "secondary_rate_limited":
        wait = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        body = {"message": wait, "documentation_url": f"{_LIMITS_PAGE}#about-secondary-rate-limits"}
    if fault.retry_after_seconds is not None:
        headers["retry-after"] = str(fault.retry_after_seconds)
    return Response(json.dumps(body), fault.status, headers, media_type="application/json; charset=utf-8")
