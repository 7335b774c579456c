"""Tells the page of a session when the session will end, and why, so that it can say so before; and of its services."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from starlette.responses import JSONResponse, Response

from binder.store.tables import Session, utc_now
from deploy.jupyter import usage_of
from deploy.lifetime import expiry_of, patience_of
from deploy.probe import server_of
from deploy.service_words import sentence_of
from proxy.context import ProxyContext
from proxy.faults import TooManyError

_AGAIN_SECONDS = 5
# One that ended is seen by the controller within three seconds.
_SERVICES_AGAIN_SECONDS = 5


class Ends:
    """Says when sessions end."""

    def __init__(self, context: ProxyContext) -> None:
        self._keeper = context.keeper
        self._patience = patience_of(context.settings)
        self._under_way: set[str] = set()

    async def answer(self, session: Session, target: str) -> Response:
        """Answer with the end of an open session, as JSON; asking is no use of the session.

        Raises: TooManyError, where that is under way already; OperatorFault, where the proxy does not answer.
        """
        if session.id in self._under_way:
            raise TooManyError("It is being looked up already when this session ends.", _AGAIN_SECONDS)
        self._under_way.add(session.id)
        try:
            return await self._answer(session, target)
        finally:
            self._under_way.discard(session.id)

    async def _answer(self, session: Session, target: str) -> Response:
        opened_at = session.opened_at or session.ready_at or session.created_at
        used_at = await self._keeper.used_at(session, utc_now()) or opened_at
        usage = await usage_of(server_of(session.id, target, session.token))
        now = utc_now()
        expiry = expiry_of(opened_at, used_at, usage, self._patience, now)
        said: dict[str, Any] = {
            "now": now.isoformat(),
            "ends_at": expiry.at.isoformat(),
            "seconds_left": max(0, round((expiry.at - now).total_seconds())),
            "reason": expiry.reason,
            "message": expiry.sentence,
            "can_be_put_off": expiry.can_be_put_off,
            "is_soon": now >= expiry.told_at,
            "look_again_seconds": ceil(expiry.look_again_in(now).total_seconds()),
        }
        if session.services:
            said |= _told_of(session.services)
            said["look_again_seconds"] = min(said["look_again_seconds"], _SERVICES_AGAIN_SECONDS)
        return JSONResponse(said, headers={"Cache-Control": "no-store"})


def _told_of(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a page is told of the services of its session, from what the row keeps of them."""
    services = [
        {key: one[key] for key in ("title", "ready", "restarts", "gave_up")} | {"sentence": sentence_of(one)}
        for one in kept["services"].values()
    ]
    return {"services": services, "links": kept["links"]}
