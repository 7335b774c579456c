"""The progress of a launch as server-sent events: steps, the log as it grows, and at last what to do next.

Bounded in time and in number; a browser that was cut off goes on where it was, by the log's offset that is each
event's id. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from binder.errors import BinderError, WorldFault
from binder.log import logger
from binder.loop import wait_for_hint
from proxy.build_logs import read_lines, tail_offset
from proxy.claims import has_standby, is_coming
from proxy.context import ProxyContext
from proxy.progress import Progress, progress_of
from proxy.visible import number_of, visible_build

log = logger(__name__)

_LONGEST_STREAM_SECONDS = 600.0
_MOST_STREAMS = 500
_ALIVE_SECONDS = 15.0
_LOOK_SECONDS = 1.0
_BREATH_SECONDS = 0.1
_FIRST_BYTES = 2**16
_MOST_BYTES = 2**16
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class LaunchEvents:
    """Answers the pages that wait."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._streams = 0

    def routes(self) -> list[BaseRoute]:
        """Return the route of the events."""
        return [Route("/launch/events", self.events)]

    async def events(self, request: Request) -> Response:
        """Stream the progress of the build `build`, its log from `from` on (or only its end)."""
        build_id = number_of(request.query_params.get("build"))
        async with self._context.store.read() as session:
            build, _ = await visible_build(session, build_id)
        if self._streams >= _MOST_STREAMS:
            raise WorldFault("Too many pages are waiting at once. Please reload this one in a moment.")
        path = self._context.paths.build_log(build.id)
        given = request.headers.get("last-event-id") or request.query_params.get("from")
        offset = number_of(given)
        if offset is None:
            offset = await asyncio.to_thread(tail_offset, path, _FIRST_BYTES)
        return StreamingResponse(self._stream(request, build.id, offset), 200, _HEADERS, "text/event-stream")

    async def _stream(self, request: Request, build_id: int, offset: int) -> AsyncIterator[str]:
        self._streams += 1
        changed = self._context.store.changed.subscribe()
        follower = _Follower(self._context.paths.build_log(build_id), offset)
        deadline = time.monotonic() + _LONGEST_STREAM_SECONDS
        try:
            while time.monotonic() < deadline and not await request.is_disconnected():
                changed.clear()
                progress = await self._look(build_id)
                async for text in follower.news(progress):
                    yield text
                if progress.end:
                    return
                await wait_for_hint(changed, _LOOK_SECONDS)
                await asyncio.sleep(_BREATH_SECONDS)  # the store may change many times a second
        except BinderError as error:
            # Too late for another status: the browser asks again, and is told then.
            log.info("launch_stream_cut", build=build_id, reason=error.message)
        finally:
            self._context.store.changed.unsubscribe(changed)
            self._streams -= 1

    async def _look(self, build_id: int) -> Progress:
        async with self._context.store.read() as session:
            build, _ = await visible_build(session, build_id)
            return progress_of(
                build.state,
                has_standby=await has_standby(session, build),
                is_coming=await is_coming(session, build),
            )


@dataclass
class _Follower:
    """What one browser was told, and what is new to it."""

    log: Path
    offset: int
    told: Progress | None = None
    spoke_at: float = 0.0

    async def news(self, progress: Progress) -> AsyncIterator[str]:
        while lines := await self._more_lines():
            yield self._said("log", {"lines": lines})
        if progress != self.told:
            self.told = progress
            yield self._said("progress", {"steps": [asdict(step) for step in progress.steps]})
        if progress.end:
            yield self._said("end", {"next": progress.end})
        elif time.monotonic() - self.spoke_at > _ALIVE_SECONDS:
            self.spoke_at = time.monotonic()
            yield ": still here\n\n"

    async def _more_lines(self) -> list[str]:
        lines, self.offset = await asyncio.to_thread(read_lines, self.log, self.offset, most_bytes=_MOST_BYTES)
        return lines

    def _said(self, event: str, data: dict[str, object]) -> str:
        self.spoke_at = time.monotonic()
        return f"id: {self.offset}\nevent: {event}\ndata: {json.dumps(data)}\n\n"
