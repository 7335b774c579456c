"""Streams of server-sent events: bounded in time and in number, and kept alive while there is nothing to tell.

What a stream tells is its teller's. A browser that was cut off says the id of the last event that it saw.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from binder.errors import BinderError, WorldFault
from binder.log import logger
from binder.loop import Hint, wait_for_hint
from proxy.build_logs import PIECE_BYTES, Log, read_lines
from proxy.visible import number_of

log = logger(__name__)

_LONGEST_STREAM_SECONDS = 600.0
_MOST_STREAMS = 500
_ALIVE_SECONDS = 15.0
_LOOK_SECONDS = 1.0
_BREATH_SECONDS = 0.1
_HEADERS: Final = {"Cache-Control": "no-store", "Vary": "Accept", "X-Accel-Buffering": "no"}


class Teller(Protocol):
    """What one browser is told."""

    @property
    def is_over(self) -> bool:
        """Whether the stream is to be closed."""

    def news(self) -> AsyncIterator[str]:
        """Give the events since the last time; after the last one of all, or some time later, `is_over`."""


class EventStreams:
    """Answers with streams; `changed` is given when there may be news."""

    def __init__(self, changed: Hint, *, longest_seconds: float | None = None) -> None:
        self._changed = changed
        self._longest_seconds = longest_seconds
        self._count = 0

    def answer(self, request: Request, teller: Teller, *, headers: Mapping[str, str] | None = None) -> Response:
        """Answer with what `teller` tells.

        Raises: WorldFault, where there are too many streams already.
        """
        if self._count >= _MOST_STREAMS:
            raise WorldFault("Too many pages are waiting at once. Please reload this one in a moment.")
        return StreamingResponse(
            self._stream(request, teller), 200, _HEADERS | dict(headers or {}), "text/event-stream"
        )

    async def _stream(self, request: Request, teller: Teller) -> AsyncIterator[str]:
        self._count += 1
        changed = self._changed.subscribe()
        deadline = time.monotonic() + (self._longest_seconds or _LONGEST_STREAM_SECONDS)
        spoke_at = 0.0
        try:
            while time.monotonic() < deadline and not await request.is_disconnected():
                changed.clear()
                async for text in teller.news():
                    spoke_at = time.monotonic()
                    yield text
                if teller.is_over:
                    return
                if time.monotonic() - spoke_at > _ALIVE_SECONDS:
                    spoke_at = time.monotonic()
                    yield ": still here\n\n"
                await wait_for_hint(changed, _LOOK_SECONDS)
                await asyncio.sleep(_BREATH_SECONDS)  # the store may change many times a second
        except BinderError as error:
            # Too late for another status: the browser asks again, and is told then.
            log.info("stream_cut", path=request.url.path, reason=error.message)
        finally:
            self._changed.unsubscribe(changed)
            self._count -= 1


class LogTail:
    """The lines of a log from a byte offset on, as events whose ids are the offsets behind them."""

    def __init__(self, log: Log, offset: int) -> None:
        self._log = log
        self._offset = offset

    async def news(self) -> AsyncIterator[str]:
        """Give the lines that are new."""
        async for lines in self.lines():
            yield self.said("log", {"lines": lines})

    async def lines(self) -> AsyncIterator[list[str]]:
        """Give the lines that are new, piece by piece."""
        while lines := await self._more():
            yield lines

    def said(self, event: str, data: dict[str, object]) -> str:
        """Return an event, after which a browser goes on with the lines that it was not told yet."""
        return f"id: {self._offset}\nevent: {event}\ndata: {json.dumps(data)}\n\n"

    async def _more(self) -> list[str]:
        lines, self._offset = await read_lines(self._log, self._offset, most_bytes=PIECE_BYTES)
        return lines


def asked_offset(request: Request) -> int | None:
    """Return the byte offset at which a browser wants to go on; None where it does not say."""
    return number_of(request.headers.get("last-event-id") or request.query_params.get("from"))
