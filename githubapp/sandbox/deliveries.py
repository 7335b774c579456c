"""Sends events to the Apps that subscribed to them, and remembers how each delivery went.

Owns the bounded queue, the one background task that empties it in order, the signature, the deadline and the record.
Like GitHub it never tries again by itself. What an event says is left to `events`.
"""

import asyncio
import collections
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

import httpx

from githubapp.sandbox.faults import Fault, Faults
from githubapp.sandbox.state import State
from githubapp.sandbox.values import App, Delivery, Json

# Source: https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks
DEADLINE_SECONDS = 10.0
# Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap
LARGEST_PAYLOAD_BYTES = 25 * 1024 * 1024

_LONGEST_QUEUE = 1_000
_KEPT_RECORDS = 1_000
_KEPT_ANSWER_BYTES = 10_000
_LONGEST_HOLD_SECONDS = 5.0


@dataclass(frozen=True)
class _Outgoing:
    """An event on its way to one App; `body` is what the signature is made over."""

    app_id: int
    guid: str
    event: str
    payload: Json
    body: bytes
    installation_id: int | None
    repository_id: int | None
    redelivery: bool = False


@dataclass(frozen=True)
class _Answer:
    status: str
    status_code: int
    headers: Mapping[str, str]
    body: str


_TIMED_OUT = _Answer("timed out", 0, {}, "")


class Deliveries:
    """The way out for events; `run` must be running for anything to leave."""

    def __init__(self, state: State, faults: Faults) -> None:
        self._state = state
        self._faults = faults
        self._queue: asyncio.Queue[_Outgoing] = asyncio.Queue(_LONGEST_QUEUE)
        self._unsettled = 0
        self._records: collections.deque[Delivery] = collections.deque(maxlen=_KEPT_RECORDS)

    def newest_first(self, app_id: int | None = None) -> list[Delivery]:
        return [one for one in reversed(self._records) if app_id in {None, one.app_id}]

    def get(self, delivery_id: int) -> Delivery | None:
        return next((one for one in self._records if one.id == delivery_id), None)

    def post(
        self, app: App, event: str, payload: Json, *, installation_id: int | None, repository_id: int | None
    ) -> None:
        """Queue an event for `app`; an App without an address gets none, and a full queue loses it, as GitHub may."""
        body = json.dumps(payload).encode()
        if not app.webhook_url or len(body) > LARGEST_PAYLOAD_BYTES:
            return
        guid = str(uuid.uuid4())
        self._put(_Outgoing(app.id, guid, event, payload, body, installation_id, repository_id))

    def redeliver(self, delivery: Delivery) -> None:
        """Queue the same event again, under the same guid."""
        body = json.dumps(delivery.payload).encode()
        numbers = (delivery.installation_id, delivery.repository_id)
        again = _Outgoing(
            delivery.app_id, delivery.guid, delivery.event, delivery.payload, body, *numbers, redelivery=True
        )
        self._put(again)

    def _put(self, outgoing: _Outgoing) -> None:
        if self._queue.full():
            self._record(outgoing, _Answer("queue full", 0, {}, ""), {}, 0.0)
            return
        self._unsettled += 1
        self._queue.put_nowait(outgoing)

    async def settled(self, timeout_seconds: float) -> None:
        """Wait until nothing is on its way.

        Raises: TimeoutError.
        """
        await self._state.until(lambda: None if self._unsettled else True, timeout_seconds)

    async def run(self) -> None:
        """Send what is queued, one after the other, until cancelled."""
        # A proxy of this machine's environment is none of GitHub's.
        async with httpx.AsyncClient(trust_env=False, follow_redirects=False) as client, asyncio.TaskGroup() as late:
            while True:
                await self._meet_fault(client, late, await self._queue.get())

    async def _meet_fault(self, client: httpx.AsyncClient, late: asyncio.TaskGroup, outgoing: _Outgoing) -> None:
        fault = self._faults.next_for_delivery(outgoing.event)
        kind = fault.kind if fault else None
        if fault and kind == "late":
            late.create_task(self._send_late(client, outgoing, fault))
            return
        if kind == "swapped":
            await self._send_next_one_first(client, late)
        if kind == "without_installation":
            outgoing = _without_installation(outgoing)
        if kind == "lost":
            self._record(outgoing, _TIMED_OUT, self._headers(outgoing), DEADLINE_SECONDS)
        elif fault and kind == "failed":
            answer = _Answer(f"Invalid HTTP Response: {fault.status}", fault.status, {}, fault.message)
            self._record(outgoing, answer, self._headers(outgoing), 0.0)
        elif kind != "vanished":
            await self._send(client, outgoing)
        if kind == "twice":
            await self._send(client, outgoing)
        self._settle()

    async def _send_late(self, client: httpx.AsyncClient, outgoing: _Outgoing, fault: Fault) -> None:
        await asyncio.sleep(fault.seconds)
        await self._send(client, outgoing)
        self._settle()

    async def _send_next_one_first(self, client: httpx.AsyncClient, late: asyncio.TaskGroup) -> None:
        try:
            async with asyncio.timeout(_LONGEST_HOLD_SECONDS):
                following = await self._queue.get()
        except TimeoutError:
            return
        await self._meet_fault(client, late, following)

    def _settle(self) -> None:
        self._unsettled -= 1
        self._state.changed()

    async def _send(self, client: httpx.AsyncClient, outgoing: _Outgoing) -> None:
        headers = self._headers(outgoing)
        started = time.monotonic()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                answer = await self._ask(client, outgoing, headers)
        except (TimeoutError, httpx.TimeoutException):
            answer = _TIMED_OUT
        except (httpx.HTTPError, httpx.InvalidURL):
            answer = _Answer("failed to connect to host", 0, {}, "")
        self._record(outgoing, answer, headers, time.monotonic() - started)

    async def _ask(self, client: httpx.AsyncClient, outgoing: _Outgoing, headers: Mapping[str, str]) -> _Answer:
        """Send it, and read the beginning of what comes back."""
        url = self._state.apps[outgoing.app_id].webhook_url
        body = b""
        async with client.stream(
            "POST", url, content=outgoing.body, headers=headers, timeout=DEADLINE_SECONDS
        ) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) >= _KEPT_ANSWER_BYTES:
                    break
        status = "OK" if response.is_success else f"Invalid HTTP Response: {response.status_code}"
        text = body[:_KEPT_ANSWER_BYTES].decode(errors="replace")
        return _Answer(status, response.status_code, dict(response.headers), text)

    def _headers(self, outgoing: _Outgoing) -> dict[str, str]:
        """Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers"""
        app = self._state.apps[outgoing.app_id]
        return {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/5tand1n",
            "X-GitHub-Delivery": outgoing.guid,
            "X-GitHub-Event": outgoing.event,
            "X-GitHub-Hook-ID": str(app.hook_id),
            "X-GitHub-Hook-Installation-Target-ID": str(app.id),
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-Hub-Signature-256": signature(app.webhook_secret, outgoing.body),
        }

    def _record(
        self, outgoing: _Outgoing, answer: _Answer, headers: Mapping[str, str], duration_seconds: float
    ) -> None:
        action = outgoing.payload.get("action")
        self._records.append(
            Delivery(
                id=self._state.next_large_id(),
                guid=outgoing.guid,
                app_id=outgoing.app_id,
                event=outgoing.event,
                action=action if isinstance(action, str) else None,
                installation_id=outgoing.installation_id,
                repository_id=outgoing.repository_id,
                delivered_at=self._state.now(),
                redelivery=outgoing.redelivery,
                duration_seconds=duration_seconds,
                status=answer.status,
                status_code=answer.status_code,
                request_headers=headers,
                payload=outgoing.payload,
                response_headers=answer.headers,
                response_body=answer.body,
            )
        )
        self._state.changed()


def signature(secret: str, body: bytes) -> str:
    """The value of `X-Hub-Signature-256`.

    Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    """
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _without_installation(outgoing: _Outgoing) -> _Outgoing:
    payload = {key: value for key, value in outgoing.payload.items() if key != "installation"}
    return replace(outgoing, payload=payload, body=json.dumps(payload).encode())
