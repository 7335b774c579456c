"""The progress of a launch as server-sent events: steps, the log as it grows, and at last what to do next.

A browser that was cut off goes on where it was, by the log's offset that is each event's id.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from binder.store.build_logs import StoredLog
from binder.store.tables import Build, Repository, utc_now
from proxy.access import Access
from proxy.build_history import past_of
from proxy.build_logs import tail_offset
from proxy.claims import image_of, supply
from proxy.context import ProxyContext
from proxy.event_streams import EventStreams, LogTail, asked_offset
from proxy.launch_pages import TICKET
from proxy.progress import Past, Progress, progress_of
from proxy.visible import number_of, visible_build

_FIRST_BYTES = 2**16


class LaunchEvents:
    """Answers the pages that wait."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._access = Access(context)
        self._streams = EventStreams(context.store.changed)

    def routes(self) -> list[BaseRoute]:
        """Return the route of the events."""
        return [Route("/launch/events", self.events)]

    async def events(self, request: Request) -> Response:
        """Stream the progress of the build `build`, its log from `from` on (or only its end)."""
        build_id = number_of(request.query_params.get("build"))
        viewer = await self._access.viewer(request)
        look = partial(visible_build, self._context.store, self._access, viewer)
        build, _ = await look(build_id)
        log = StoredLog(self._context.store, build.id)
        offset = asked_offset(request)
        if offset is None:
            offset = await tail_offset(log, _FIRST_BYTES)
        ticket = request.cookies.get(TICKET)
        launch = _Launch(self._context, partial(look, build.id), LogTail(log, offset), ticket)
        return self._streams.answer(request, launch)


class _Launch:
    """What one browser was told of a launch, and what is new to it."""

    def __init__(
        self,
        context: ProxyContext,
        look: Callable[[], Awaitable[tuple[Build, Repository]]],
        log: LogTail,
        ticket: str | None,
    ) -> None:
        self.is_over = False
        self._context = context
        self._look_at_build = look
        self._log = log
        self._ticket = ticket
        self._told: Progress | None = None
        self._past: Sequence[Past] | None = None

    async def news(self) -> AsyncIterator[str]:
        progress = await self._look()
        async for text in self._log.news():
            yield text
        if progress != self._told:
            self._told = progress
            yield self._log.said("progress", _told_of(progress))
        if progress.end:
            self.is_over = True
            yield self._log.said("end", {"next": progress.end})

    async def _look(self) -> Progress:
        build, _ = await self._look_at_build()
        async with self._context.store.read() as session:
            there = await supply(session, build)
            if self._past is None:
                self._past = await past_of(session, build)
        ahead = self._ahead(image_of(build) or "")
        is_coming = there.ready + there.coming > ahead
        return progress_of(build, self._past, utc_now(), has_standby=there.ready > ahead, is_coming=is_coming)

    def _ahead(self, image: str) -> int:
        """Return how many of the sessions that are there or come belong to those who came before this visitor."""
        if self._ticket is None:
            return 0
        now = utc_now()
        self._context.queue.see(self._ticket, now)
        return self._context.queue.ahead_of(self._ticket, image, now).of_image


def _told_of(progress: Progress) -> dict[str, object]:
    steps = [asdict(step) for step in progress.steps]
    return {"steps": steps, "percent": progress.percent, "facts": progress.facts}
