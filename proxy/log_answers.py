"""`/builds/{number}/log`: the log of a build, as events while it grows, or as plain text, whole or a part of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from binder.lifecycle import BuildState, is_final
from binder.store.build_logs import StoredLog
from binder.store.tables import Build, Repository
from proxy.access import Access
from proxy.build_logs import PIECE_BYTES, Log, read_lines, read_part, whole_size_of
from proxy.context import ProxyContext
from proxy.event_streams import EventStreams, LogTail, asked_offset
from proxy.progress import words_of_state
from proxy.visible import number_of, visible_build

_MOST_BYTES = 4 * PIECE_BYTES
_HEADERS = {"Cache-Control": "no-store", "Vary": "Accept"}


class LogAnswers:
    """Gives out logs."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._access = Access(context)
        self._streams = EventStreams(context.store.changed)

    def routes(self) -> list[BaseRoute]:
        """Return the route of a build's log."""
        return [Route("/builds/{number}/log", self.log)]

    async def log(self, request: Request) -> Response:
        """Give the log from the byte `from` on: as events to who accepts them, else as text, at most `bytes` of it.

        Whole lines are given, one at least. `Next-Offset` says where the next part begins, a `Link` where it is.
        """
        viewer = await self._access.viewer(request)
        look = partial(visible_build, self._context.store, self._access, viewer)
        build, _ = await look(number_of(request.path_params["number"]))
        log = StoredLog(self._context.store, build.id)
        offset = asked_offset(request) or 0
        if "text/event-stream" in request.headers.get("accept", ""):
            return self._streams.answer(request, _Following(partial(look, build.id), LogTail(log, offset)))
        end = await whole_size_of(log, 2 * self._context.settings.build_log_bytes)
        asked = number_of(request.query_params.get("bytes"))
        if asked is None:
            return StreamingResponse(
                _text(log, offset, end), 200, _HEADERS | {"Next-Offset": str(max(offset, end))}, "text/plain"
            )
        return await _part(build, log, offset, min(max(asked, 1), _MOST_BYTES), end)


class _Following:
    """What one browser was told of a build, and what is new to it."""

    def __init__(self, look: Callable[[], Awaitable[tuple[Build, Repository]]], log: LogTail) -> None:
        self.is_over = False
        self._look = look
        self._log = log
        self._told: BuildState | None = None

    async def news(self) -> AsyncIterator[str]:
        build, _ = await self._look()
        async for text in self._log.news():
            yield text
        if build.state is not self._told:
            self._told = build.state
            yield self._log.said("state", {"state": build.state, "label": words_of_state(build)})
        if is_final(build.state):
            self.is_over = True
            yield self._log.said("end", {"state": build.state})


async def _part(build: Build, log: Log, offset: int, most_bytes: int, end: int) -> Response:
    lines, following = await read_part(log, offset, most_bytes=most_bytes, end=end)
    headers = _HEADERS | {"Next-Offset": str(following)}
    if following < end:
        headers["Link"] = f'</builds/{build.id}/log?from={following}&bytes={most_bytes}>; rel="next"'
    return PlainTextResponse("".join(f"{line}\n" for line in lines), headers=headers)


async def _text(log: Log, offset: int, end: int) -> AsyncIterator[str]:
    while offset < end:
        lines, offset = await read_lines(log, offset, most_bytes=PIECE_BYTES, end=end)
        if not lines:
            return
        yield "".join(f"{line}\n" for line in lines)
