"""The page of a build: its state, what was re-used, what was wrong, and the whole log that is kept."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from markupsafe import escape
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from binder.lifecycle import is_final
from binder.store.tables import Build, Repository
from proxy.answers import WHOSE_FAULT, new_nonce, page_headers, page_text
from proxy.build_logs import read_lines, size_of
from proxy.context import ProxyContext
from proxy.links import Link, parse_link
from proxy.progress import STATE_WORDS
from proxy.visible import number_of, visible_build

_PIECE_BYTES = 2**18


class BuildPages:
    """Shows builds."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context

    def routes(self) -> list[BaseRoute]:
        """Return the route of a build's page."""
        return [Route("/builds/{number}", self.build)]

    async def build(self, request: Request) -> Response:
        """Show a build, its log as far as it is now."""
        async with self._context.store.read() as session:
            build, repository = await visible_build(session, number_of(request.path_params["number"]))
        path = self._context.paths.build_log(build.id)
        end = min(await asyncio.to_thread(size_of, path), 2 * self._context.settings.build_log_bytes)
        nonce = new_nonce()
        # The log can be larger than a page should be in memory: it is streamed between the page's two halves.
        mark = f"<!--{nonce}-->"
        head, _, tail = page_text("build.html", nonce, mark=mark, log_end=end, **_values(build, repository)).partition(
            mark
        )
        return StreamingResponse(_stream(head, path, end, tail), 200, page_headers(nonce), "text/html")


def start_again(repository: Repository, sha: str, landing: str = "") -> Link:
    """Return the link to a commit, and to a place in its session.

    Raises: VisitorFault, where `landing` leads outside of a session.
    """
    provider = "local" if repository.host == "local" else "gh"
    return parse_link(provider, f"{repository.full_name}/{sha}", {"urlpath": landing})


def _values(build: Build, repository: Repository) -> dict[str, object]:
    result, fault = build.result or {}, build.fault or {}
    return {
        "build": build,
        "repository": repository,
        "link": start_again(repository, build.sha),
        "state": STATE_WORDS[build.state],
        "is_active": not is_final(build.state),
        "layers": result.get("layers") or [],
        "seconds": result.get("seconds") or {},
        "way": result.get("way"),
        "fault": fault,
        "whose": WHOSE_FAULT.get(fault.get("party", "operator"), ""),
    }


async def _stream(head: str, path: Path, end: int, tail: str) -> AsyncIterator[str]:
    yield head
    offset, number = 0, 1
    while offset < end:
        lines, offset = await asyncio.to_thread(read_lines, path, offset, most_bytes=_PIECE_BYTES, end=end)
        if not lines:
            break
        yield "".join(_line(number + index, line) for index, line in enumerate(lines))
        number += len(lines)
    yield tail


def _line(number: int, text: str) -> str:
    return f'<a id="L{number}" href="#L{number}">{number}</a><span>{escape(text)}\n</span>'
