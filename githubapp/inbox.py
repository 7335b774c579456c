"""Takes GitHub's deliveries in: `POST /webhooks/github` reads, checks, stores, and only then answers.

Owns the limits on what is read, and the answers. How a delivery is read is `deliveries`, what it means `events`, how it
is stored `intake`, what is done about it `previews`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from binder.app_manifest import WEBHOOK_PATH
from binder.errors import StoreUnavailableError
from binder.figures import Figures
from binder.log import logger
from binder.settings import Settings
from binder.store import Store
from githubapp.deliveries import LARGEST_BODY_BYTES, Event, parse, verify
from githubapp.events import Ignored, Refusal, hint_of
from githubapp.intake import Intake, Outcome

log = logger(__name__)

# GitHub waits 10 s for an answer; all of ours together take less.
# Source: https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks
_READ_SECONDS = 4.0
_STORE_SECONDS = 5.5
# Whoever sends is not known before the whole body is there: so much may wait in memory, over all requests.
_HELD_BYTES = 4 * LARGEST_BODY_BYTES
_RECEIVED = "binder_deliveries_received"
_STATUS: dict[Outcome, int] = {"stored": 202, "ignored": 200, "duplicate": 200}


def webhook_route(inbox: "Inbox") -> Route:
    """Return the route that deliveries come to."""
    return Route(WEBHOOK_PATH, inbox.receive, methods=["POST"])


class Inbox:
    """The door for deliveries of one App. Without an App in the settings, each is refused as unsigned."""

    def __init__(self, store: Store, settings: Settings, figures: Figures | None = None) -> None:
        self._figures = figures or Figures()
        self._store = store
        self._held_bytes = 0
        self.begin_with(settings)

    def begin_with(self, settings: Settings) -> None:
        """Take the deliveries of the App that the settings name, from now on."""
        self._app_id = settings.github_app_id or 0
        self.intake = Intake(self._store, settings.github_host, self._app_id)
        secrets = settings.github_webhook_secrets if settings.github_app_id else ()
        self._secrets = [secret.get_secret_value() for secret in secrets]

    async def receive(self, request: Request) -> Response:
        """Answer a delivery."""
        began = time.monotonic()
        try:
            event, outcome = await self._take(request)
        except Refusal as refusal:
            self._figures.count(_RECEIVED, outcome="refused")
            log.warning("delivery_refused", status=refusal.status, reason=refusal.message)
            return _answer(refusal.status, refusal.message)
        except (StoreUnavailableError, TimeoutError) as error:
            self._figures.count(_RECEIVED, outcome="not_stored")
            log.error("delivery_not_stored", reason=repr(error.__cause__ or error))  # noqa: TRY400 - they come in bursts
            return _answer(503, "The delivery could not be stored. Please deliver it again.")
        self._figures.count(_RECEIVED, outcome=outcome)
        self._figures.measure("binder_delivery_store_duration_seconds", time.monotonic() - began)
        log.info("delivery_received", delivery=event.guid, name=event.name, outcome=outcome)
        return _answer(_STATUS[outcome], outcome)

    async def _take(self, request: Request) -> tuple[Event, Outcome]:
        event = await self._read(request)
        async with asyncio.timeout(_STORE_SECONDS):
            return event, await self.keep(event)

    async def keep(self, event: Event) -> Outcome:
        """Write a delivery down whose sender is known, and return what became of it.

        Raises: Refusal, StoreUnavailableError.
        """
        hint = hint_of(event.name, event.payload, self._app_id)
        return await self.intake.keep(event, hint.reason if isinstance(hint, Ignored) else None)

    async def _read(self, request: Request) -> Event:
        async with self._held_body(request) as body:
            if not verify(body, request.headers.get("x-hub-signature-256"), self._secrets):
                raise Refusal(401, "The signature is missing or wrong.")
            return parse(request.headers, body)

    @asynccontextmanager
    async def _held_body(self, request: Request) -> AsyncIterator[bytearray]:
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
            yield body
        except ClientDisconnect as error:
            raise Refusal(400, "The body did not come to its end.") from error
        except TimeoutError as error:
            raise Refusal(408, "The body did not come in time.") from error
        finally:
            self._held_bytes -= len(body)


def _declared_bytes(request: Request) -> int:
    declared = request.headers.get("content-length", "")
    return int(declared[:20]) if declared.isascii() and declared.isdigit() else 0


def _answer(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status)
