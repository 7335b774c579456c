"""Takes GitHub's deliveries in: `POST /webhooks/github` reads, checks, stores, and only then answers.

Owns the limits on what is read and the rule for duplicates; what a delivery means is `events`, what is done about it
is `previews`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from binder.errors import StoreUnavailableError
from binder.lifecycle import DeliveryState, step
from binder.log import logger
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Delivery, utc_now
from githubapp.events import LARGEST_BODY_BYTES, Event, Ignored, Refusal, look_of, parse, verify

log = logger(__name__)

Outcome: TypeAlias = Literal["stored", "ignored", "duplicate"]

# GitHub waits 10 s for an answer; all of ours together take less.
# Source: https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks
_READ_SECONDS = 4.0
_STORE_SECONDS = 5.5
# Whoever sends is not known before the whole body is there: so much may wait in memory, over all requests.
_HELD_BYTES = 4 * LARGEST_BODY_BYTES
_MOST_WAITING = 2000
_STATUS: dict[Outcome, int] = {"stored": 202, "ignored": 200, "duplicate": 200}


def webhook_route(store: Store, settings: Settings) -> Route:
    """Return the route that deliveries come to. Without an App in the settings, each is refused as unsigned."""
    return Route("/webhooks/github", Inbox(store, settings).receive, methods=["POST"])


@dataclass(frozen=True)
class _Waiting:
    """A delivery that is to be stored; `outcome` is set once it is, for good."""

    event: Event
    ignored: str | None
    outcome: asyncio.Future[Outcome]


class Inbox:
    """The door for deliveries of one App."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._host = settings.github_host
        self._app_id = settings.github_app_id or 0
        secrets = settings.github_webhook_secrets if settings.github_app_id else ()
        self._secrets = [secret.get_secret_value() for secret in secrets]
        self._held_bytes = 0
        self._waiting: list[_Waiting] = []
        self._turn = asyncio.Lock()

    async def receive(self, request: Request) -> Response:
        """Answer a delivery."""
        try:
            event, outcome = await self._take(request)
        except Refusal as refusal:
            log.warning("delivery_refused", status=refusal.status, reason=refusal.message)
            return _answer(refusal.status, refusal.message)
        except (StoreUnavailableError, TimeoutError):
            log.exception("delivery_not_stored")
            return _answer(503, "The delivery could not be stored. Please deliver it again.")
        log.info("delivery_received", delivery=event.guid, name=event.name, outcome=outcome)
        return _answer(_STATUS[outcome], outcome)

    async def _take(self, request: Request) -> tuple[Event, Outcome]:
        event = await self._read(request)
        found = look_of(event.name, event.payload)
        async with asyncio.timeout(_STORE_SECONDS):
            return event, await self._keep(event, found.reason if isinstance(found, Ignored) else None)

    async def _read(self, request: Request) -> Event:
        async with self._held_body(request) as body:
            if not verify(body, request.headers.get("x-hub-signature-256"), self._secrets):
                raise Refusal(401, "The signature is missing or wrong.")
            return parse(request.headers, body)

    @asynccontextmanager
    async def _held_body(self, request: Request) -> AsyncIterator[bytes]:
        """Give the body, within what one delivery and all of them together may hold."""
        too_large = Refusal(413, f"A delivery has at most {LARGEST_BODY_BYTES} bytes.")
        if _declared_bytes(request) > LARGEST_BODY_BYTES:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(_READ_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    self._held_bytes += len(chunk)
                    if len(body) > LARGEST_BODY_BYTES:
                        raise too_large
                    if self._held_bytes > _HELD_BYTES:
                        raise Refusal(503, "Too much is being delivered at once. Please deliver it again.")
            yield bytes(body)
        except ClientDisconnect as error:
            raise Refusal(400, "The body did not come to its end.") from error
        except TimeoutError as error:
            raise Refusal(408, "The body did not come in time.") from error
        finally:
            self._held_bytes -= len(body)

    async def _keep(self, event: Event, ignored: str | None) -> Outcome:
        """Store a delivery, unless it is there and did not fail.

        Whoever has the turn writes for all who wait, in one transaction: a disk is slow, and deliveries come in bursts.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise Refusal(503, "Too much is being delivered at once. Please deliver it again.")
        mine = _Waiting(event, ignored, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        async with self._turn:
            if not mine.outcome.done():
                await self._store_all()
        return await mine.outcome

    async def _store_all(self) -> None:
        """Store what waits, and tell each who waits what became of theirs."""
        batch, self._waiting = self._waiting, []
        try:
            try:
                outcomes = await self._write(batch)
            except IntegrityError:  # another process stored one of them meanwhile: now it can be seen
                outcomes = await self._write(batch)
        except BaseException as error:
            for one in batch:
                failure = error if isinstance(error, StoreUnavailableError) else TimeoutError()
                one.outcome.done() or one.outcome.set_exception(failure)
            raise
        for one, outcome in zip(batch, outcomes, strict=True):
            one.outcome.done() or one.outcome.set_result(outcome)

    async def _write(self, batch: Sequence[_Waiting]) -> list[Outcome]:
        of_app = (Delivery.host == self._host, Delivery.app_id == self._app_id)
        guids = [one.event.guid for one in batch]
        async with self._store.write() as session:
            stored = await session.scalars(select(Delivery).where(*of_app, Delivery.guid.in_(guids)))
            known = {row.guid: row for row in stored}
            outcomes: list[Outcome] = []
            for one in batch:
                row = known.get(one.event.guid)
                if row and row.state is not DeliveryState.FAILED:
                    outcomes.append("duplicate")
                    continue
                if row is None:
                    row = Delivery(host=self._host, app_id=self._app_id, guid=one.event.guid)
                    session.add(row)
                _fill(row, one.event, one.ignored)
                known[row.guid] = row
                outcomes.append("stored" if one.ignored is None else "ignored")
        return outcomes


def _fill(row: Delivery, event: Event, ignored: str | None) -> None:
    now = utc_now()
    row.state = step(row.state, DeliveryState.STORED) if row.state else DeliveryState.STORED
    row.event, row.payload = event.name, dict(event.payload)
    row.attempts, row.received_at, row.reason, row.acted_at = 0, now, ignored, None
    if ignored is not None:
        row.state = step(row.state, DeliveryState.IGNORED)
        row.acted_at = now


def _declared_bytes(request: Request) -> int:
    declared = request.headers.get("content-length", "")
    return int(declared[:20]) if declared.isascii() and declared.isdigit() else 0


def _answer(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status)
