"""`/build/<provider>/<spec>`: a launch as server-sent events, for thebe, binderhub-client and scripts.

Any site may ask, for its pages show notebooks live: so nothing here looks at a cookie, and what is told is what a
visitor without any rights would be told. A stream stays open for a while after its last event, since clients that find
it closed connect again and launch once more.
Source: https://binderhub.readthedocs.io/en/latest/api.html
"""

import time
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urljoin

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from binder.errors import BinderError, OperatorFault, VisitorFault, WorldFault
from binder.lifecycle import BuildState
from binder.store.build_logs import StoredLog
from binder.store.tables import Build, Session
from proxy.build_logs import tail_offset
from proxy.build_phases import Event, build_failed, busy, failed, is_in_work, log_events, phases_at, ready, said
from proxy.claims import Launcher
from proxy.commits import Commit
from proxy.context import ProxyContext
from proxy.event_streams import EventStreams, LogTail
from proxy.launch import BuildFailed, Busy, Full, StartFailed
from proxy.launches import Launches
from proxy.links import Link, link_of_request
from proxy.origins import session_url
from proxy.viewers import ANYBODY
from proxy.visible import visible_build
from proxy.waiting import new_ticket

_LONGEST_SECONDS = 7200.0
_LINGER_SECONDS = 60.0
_FIRST_BYTES = 2**16
_BAD_REQUEST = 400
_FOR_ANYBODY: Final = {"Access-Control-Allow-Origin": "*"}
_PREFLIGHT: Final = _FOR_ANYBODY | {
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "accept, authorization, cache-control, last-event-id, x-xsrftoken",
    "Access-Control-Max-Age": "86400",
}


class BuildApi:
    """Answers programs that want a session."""

    def __init__(self, context: ProxyContext, launches: Launches) -> None:
        self._context = context
        self._launches = launches
        self._streams = EventStreams(context.store.changed, longest_seconds=_LONGEST_SECONDS + _LINGER_SECONDS)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the API."""
        return [
            Route("/build/{provider}/{spec:path}", self.preflight, methods=["OPTIONS"]),
            Route("/build/{provider}/{spec:path}", self.build),
        ]

    async def preflight(self, _: Request) -> Response:
        """Tell a browser that pages of other sites may ask."""
        return Response(status_code=204, headers=_PREFLIGHT)

    async def build(self, request: Request) -> Response:
        """Stream a launch; whatever is wrong is told as an event, for clients see no status."""
        if "text/event-stream" not in request.headers.get("accept", ""):
            return _refused("This is a stream of events. Ask for it with the header “Accept: text/event-stream”.")
        if request.query_params.get("build_only"):
            return _refused("Building without launching is not to be had here: leave “build_only” out.")
        try:
            link = link_of_request(request.scope["raw_path"], {})
            launcher = self._launches.launcher(request, ANYBODY, new_ticket())
            launching = _Launching(self._context, self._launches, link, launcher)
            return self._streams.answer(request, launching, headers=_FOR_ANYBODY)
        except BinderError as error:
            return _one_event(failed(error))


class _Launching:
    """What one client was told of a launch, and what is new to it."""

    def __init__(self, context: ProxyContext, launches: Launches, link: Link, launcher: Launcher) -> None:
        self._context = context
        self._launches = launches
        self._link = link
        self._launcher = launcher
        self._deadline = time.monotonic() + _LONGEST_SECONDS
        self._ended_at: float | None = None
        self._commit: Commit | None = None
        self._log: tuple[int, LogTail] | None = None
        self._told: tuple[Event, ...] = ()

    @property
    def is_over(self) -> bool:
        return self._ended_at is not None and time.monotonic() - self._ended_at >= _LINGER_SECONDS

    async def news(self) -> AsyncIterator[str]:
        if self._ended_at is not None:
            return
        try:
            async for event in self._look():
                yield said(event)
        except BinderError as error:
            self._ended_at = time.monotonic()
            yield said(failed(error))

    async def _look(self) -> AsyncIterator[Event]:
        if time.monotonic() > self._deadline:
            raise WorldFault("This took too long. Please ask again: what is built by now is not built anew.")
        self._commit = self._commit or await self._launches.commits.find(self._link)
        launched = await self._launches.launch(self._commit, self._launcher)
        build = await self._visible(launched.build)
        async for event in self._log_of(build):
            yield event
        match launched.outcome:
            case Session() as session:
                for event in self._untold(phases_at(build)):
                    yield event
                yield await self._enter(build, session)
            case BuildFailed():
                self._ended_at = time.monotonic()
                yield build_failed(build, self._context.settings.url)
            case StartFailed(reason):
                raise OperatorFault(f"The image is built, but no notebook server of it starts: {reason}")
            case Full() as full:
                raise full.fault(self._link.full_name)
            case outcome:
                at = (busy(outcome.position, outcome.of),) if isinstance(outcome, Busy) else phases_at(build)
                for event in self._untold(at):
                    yield event

    async def _visible(self, build: Build) -> Build:
        """Return the build as it is now, if it may still be seen."""
        return (await visible_build(self._context.store, self._launches.access, ANYBODY, build.id))[0]

    async def _log_of(self, build: Build) -> AsyncIterator[Event]:
        if self._log is None or self._log[0] != build.id:
            self._log = (build.id, await self._tail_of(build))
        # A client that reads on in the log of a build behind “built” would take the build for unfinished.
        if self._told != phases_at(build) or is_in_work(build):
            async for lines in self._log[1].lines():
                for event in log_events(lines):
                    yield event

    async def _tail_of(self, build: Build) -> LogTail:
        log = StoredLog(self._context.store, build.id)
        # What was built before is not told again: its log is on its page.
        is_old = build.state is BuildState.SUCCEEDED
        return LogTail(log, await log.size() if is_old else await tail_offset(log, _FIRST_BYTES))

    def _untold(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        if events == self._told:
            return ()
        self._told = events
        return events

    async def _enter(self, build: Build, session: Session) -> Event:
        assert self._commit  # noqa: S101 - what is launched was found
        await self._launches.open_way(session, self._link.full_name)
        self._ended_at = time.monotonic()
        settings = self._context.settings
        address = urljoin(f"{settings.url}/", session_url(settings, session.id))
        return ready(self._link, build, self._commit.repository, session, address, settings.url)


def _refused(message: str) -> Response:
    return _one_event({**failed(VisitorFault(message)), "status_code": _BAD_REQUEST})


def _one_event(event: Event) -> Response:
    return Response(said(event), headers=_FOR_ANYBODY | {"Cache-Control": "no-store"}, media_type="text/event-stream")
