"""The page of a build: its state, what was re-used, what was wrong, and the log, by pages and by search."""

import asyncio
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from binder.errors import VisitorFault
from binder.lifecycle import BuildState, is_final
from binder.store.build_logs import StoredLog, bill_of, has_bill
from binder.store.tables import Build, Repository
from proxy.access import Access
from proxy.answers import WHOSE_FAULT, new_nonce, page_headers, page_text
from proxy.build_facts import facts_of, place_address
from proxy.build_logs import Found, Log, Page, pages_of, read_lines, search
from proxy.context import ProxyContext
from proxy.links import Link, link_to
from proxy.log_sections import sections_of
from proxy.progress import words_of_state
from proxy.providers import named_of, provider_of
from proxy.visible import number_of, visible_build

_LONGEST_QUERY = 200
_SEARCHES_AT_ONCE = 2
_BEFORE_MATCH, _AFTER_MATCH = 100, 300
_SBOM_TYPE: Final = "application/vnd.cyclonedx+json"


@dataclass(frozen=True)
class _Asked:
    """Which part of the log a visitor wants: a page of it, the page of a line, or the lines that hold a text."""

    page: int | None
    line: int | None
    text: str

    @classmethod
    def from_request(cls, request: Request) -> "_Asked":
        query = request.query_params
        text = query.get("q", "").strip()[:_LONGEST_QUERY]
        return cls(number_of(query.get("page")), number_of(query.get("line")), text)


class BuildPages:
    """Shows builds."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._access = Access(context)
        self._searches = asyncio.Semaphore(_SEARCHES_AT_ONCE)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of a build's page and of what its image is made of."""
        return [Route("/builds/{number}", self.build), Route("/builds/{number}/sbom.json", self.sbom)]

    async def build(self, request: Request) -> Response:
        """Show a build, and a part of its log as far as it is now."""
        build, repository = await self._visible(request)
        asked = _Asked.from_request(request)
        log = StoredLog(self._context.store, build.id)
        end = min(await log.size(), 2 * self._context.settings.build_log_bytes)
        if asked.text:
            async with self._searches:
                found = await search(log, asked.text, end)
            log_values = _search_values(asked.text, found)
        else:
            log_values = await _page_values(build, log, asked, end)
        nonce = new_nonce()
        values = await self._values(build, repository) | log_values
        # A page of the log has thousands of lines: nobody else shall wait for it.
        text = await asyncio.to_thread(page_text, "build.html", nonce, **values)
        return HTMLResponse(text, 200, page_headers(nonce))

    async def sbom(self, request: Request) -> Response:
        """Give the software bill of materials of a build's image."""
        build, repository = await self._visible(request)
        async with self._context.store.read() as session:
            bill = await bill_of(session, build.id)
        if bill is None:
            raise VisitorFault("There is no software bill of materials of this build.")
        name = f"{repository.owner}-{repository.name}-{build.sha[:10]}.cdx.json"
        headers = {"Cache-Control": "no-store", "Content-Disposition": f"attachment; filename*=utf-8''{quote(name)}"}
        return Response(bill, 200, headers, _SBOM_TYPE)

    async def _visible(self, request: Request) -> tuple[Build, Repository]:
        viewer = await self._access.viewer(request)
        number = number_of(request.path_params["number"])
        return await visible_build(self._context.store, self._access, viewer, number)

    async def _values(self, build: Build, repository: Repository) -> dict[str, object]:
        fault = build.fault or {}
        async with self._context.store.read() as session:
            has_sbom = await has_bill(session, build.id)
        return {
            "build": build,
            "repository": repository,
            "link": start_again(repository, build.sha),
            "state": words_of_state(build),
            "is_active": not is_final(build.state),
            "facts": facts_of(build),
            "has_sbom": has_sbom,
            "fault": fault,
            "place": place_address(build, repository, self._context.settings),
            "whose": WHOSE_FAULT.get(fault.get("party", "operator"), ""),
        }


def start_again(repository: Repository, sha: str, landing: str = "") -> Link:
    """Return the link to a commit, and to a place in its session.

    Raises: VisitorFault, where `landing` leads outside of a session.
    """
    return link_to(provider_of(repository).id, named_of(repository), sha, {"urlpath": landing})


async def _page_values(build: Build, log: Log, asked: _Asked, end: int) -> dict[str, object]:
    pages = await pages_of(log, end)
    number = _chosen(pages, asked, is_last_first=build.state is not BuildState.SUCCEEDED)
    page = pages[number - 1]
    lines, _ = await read_lines(log, page.start, most_bytes=max(1, page.end - page.start), end=page.end)
    follows = not is_final(build.state) and number == len(pages)
    return {
        "query": "",
        "page": page,
        "number": number,
        "pages": len(pages),
        "sections": sections_of(lines, page.first_line, page.under, is_growing=follows),
        "next_line": page.first_line + len(lines),
        "follows": follows,
    }


def _chosen(pages: list[Page], asked: _Asked, *, is_last_first: bool) -> int:
    """Return the number of the page that is shown: where nothing is asked for, what failed or goes on is at the end."""
    if asked.line is not None:
        return max(1, sum(page.first_line <= asked.line for page in pages))
    if asked.page is not None:
        return min(max(1, asked.page), len(pages))
    return len(pages) if is_last_first else 1


def _search_values(text: str, found: Found) -> dict[str, object]:
    matches = [(number, _marked(line, text)) for number, line in found.lines]
    return {"query": text, "matches": matches, "is_all": found.is_all, "follows": False}


def _marked(line: str, text: str) -> list[str]:
    """Return a line, or what is around the first match of a long one, in parts of which every second one matches."""
    wanted = re.compile(f"({re.escape(text)})", re.IGNORECASE)
    first = wanted.search(line)
    begin = max(0, first.start() - _BEFORE_MATCH) if first else 0
    shown = line[begin : begin + _BEFORE_MATCH + len(text) + _AFTER_MATCH]
    parts = wanted.split(("…" if begin else "") + shown)
    return [*parts[:-1], parts[-1] + ("…" if begin + len(shown) < len(line) else "")]
