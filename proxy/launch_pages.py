"""What a link answers: the session at once where a standby waits, otherwise a page that shows how far it is."""

from typing import assert_never

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from binder.errors import OperatorFault
from binder.names import is_sha
from binder.store.tables import Build, Session, utc_now
from proxy.answers import WHOSE_FAULT, html, redirect
from proxy.branches import branch_of, last_good_build
from proxy.build_facts import place_address
from proxy.build_history import past_of
from proxy.claims import Launched
from proxy.commits import Commit
from proxy.context import ProxyContext
from proxy.launch import BuildFailed, Busy, Full, StartFailed, Wait
from proxy.launches import Launches
from proxy.links import Link, legacy_address, link_of_request
from proxy.origins import lead_in
from proxy.progress import progress_of
from proxy.waiting import new_ticket

TICKET = "binder-turn"
_REFRESH_SECONDS = 3
_BUSY_SECONDS = 10
_FAULT_STATUSES = {"repository": 422, "operator": 500, "world": 503}


class LaunchPages:
    """Answers links."""

    def __init__(self, context: ProxyContext, launches: Launches) -> None:
        self._context = context
        self._launches = launches

    def routes(self) -> list[BaseRoute]:
        """Return the routes of links, of today's form and of the older one."""
        return [
            Route("/v2/{provider}/{spec:path}", self.open),
            Route("/repo/{owner}/{name}", self.open_legacy),
            Route("/repo/{owner}/{name}/{path:path}", self.open_legacy),
        ]

    async def open(self, request: Request) -> Response:
        """Open a session for a click, or say why there is none yet."""
        link = link_of_request(request.scope["raw_path"], request.query_params)
        if _only_looks(request):
            return Response(status_code=204, headers={"Cache-Control": "no-store"})
        viewer = await self._launches.access.viewer(request)
        commit = await self._launches.commits.find(link, viewer)
        ticket = request.cookies.get(TICKET) or new_ticket()
        launched = await self._launches.launch(commit, self._launches.launcher(request, viewer, ticket))
        answer = await self._answer(link, commit, launched)
        if isinstance(launched.outcome, Wait | Busy):
            # It holds a place in the queue, and nothing else: lost with the browser's session.
            answer.set_cookie(TICKET, ticket, httponly=True, samesite="lax", secure=self._context.settings.is_secure)
        return answer

    async def open_legacy(self, request: Request) -> Response:
        """Lead a link of the older form to today's."""
        path = request.path_params
        return redirect(legacy_address(path["owner"], path["name"], path.get("path", "")))

    async def _answer(self, link: Link, commit: Commit, launched: Launched) -> Response:
        match launched.outcome:
            case Session() as session:
                return await self._enter(link, session)
            case Wait():
                return await self._waiting_page(link, commit, launched.build)
            case BuildFailed():
                return await self._failed_page(link, commit, launched.build)
            case StartFailed(reason):
                raise OperatorFault(
                    f"The image of {link.full_name} is built, but no notebook server of it starts: {reason} "
                    "Opening the link again in a minute tries once more."
                )
            case Full() as full:
                raise full.fault(link.full_name)
            case Busy(position, of):
                return html(
                    "busy.html",
                    status=503,
                    headers={"Retry-After": str(_BUSY_SECONDS)},
                    link=link,
                    places=self._context.settings.sessions_at_most,
                    position=position,
                    of=of,
                    refresh_seconds=_BUSY_SECONDS,
                )
            case _:
                assert_never(launched.outcome)

    async def _enter(self, link: Link, session: Session) -> Response:
        await self._launches.open_way(session, link.full_name)
        return lead_in(session, link.landing, self._context.settings, utc_now())

    async def _waiting_page(self, link: Link, commit: Commit, build: Build) -> Response:
        async with self._context.store.read() as session:
            past = await past_of(session, build)
        return html(
            "launch.html",
            link=link,
            commit=commit,
            build=build,
            progress=progress_of(build, past, utc_now(), has_standby=False, is_coming=True),
            refresh_seconds=_REFRESH_SECONDS,
        )

    async def _failed_page(self, link: Link, commit: Commit, build: Build) -> Response:
        fault = build.fault or {}
        good = await self._last_good(link, commit)
        party = fault.get("party", "operator")
        return html(
            "failed.html",
            status=_FAULT_STATUSES.get(party, 500),
            link=link,
            commit=commit,
            build=build,
            good=good,
            good_link=link.at(good.sha) if good else None,
            fault=fault,
            place=place_address(build, commit.repository, self._context.settings),
            whose=WHOSE_FAULT.get(party, WHOSE_FAULT["operator"]),
        )

    async def _last_good(self, link: Link, commit: Commit) -> Build | None:
        """Return the last build of the link's branch that can be opened, None where there is none."""
        async with self._context.store.read() as session:
            branch = None if is_sha(link.ref) else await branch_of(session, commit.repository, link.ref)
            return await last_good_build(session, branch) if branch else None


def _only_looks(request: Request) -> bool:
    """Whether nobody clicked: a link's check, or a browser that fetches what might be clicked."""
    return request.method == "HEAD" or "prefetch" in request.headers.get("sec-purpose", "")
