"""What the service answers at a session's address: what was changed, when it ends, and where no route leads to it.

It has ended then, or it is another visitor's.
"""

import secrets
from datetime import datetime, timedelta
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from binder.errors import VisitorFault
from binder.lifecycle import SessionState, is_final
from binder.names import is_session_id
from binder.store.tables import Build, Repository, Session, utc_now
from deploy.manifests import base_path_of
from proxy.access import Access
from proxy.answers import html, redirect
from proxy.build_pages import start_again
from proxy.changes import Changes
from proxy.context import ProxyContext
from proxy.ends import Ends
from proxy.faults import NotVisibleError
from proxy.links import Link, session_address
from proxy.origins import cookie_name, is_at_a_session, let_in
from templates import render

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# What a notebook's page asks for by itself: nobody wants to come back to it.
_NOT_PAGES = ("api/", "files/", "static/", "lab/api/", "login", "logout")


_JUST_OPENED = timedelta(seconds=10)


class SessionPages:
    """Answers for sessions that are not there, and gives what was changed in those that are."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._access = Access(context)
        self._changes = Changes()
        self._ends = Ends(context)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of sessions' addresses."""
        return [
            Route("/s/{session}/binder/changes.zip", self.changes),
            Route("/s/{session}/binder/ends", self.ends),
            Route("/s/{session}", self.missed, methods=_METHODS),
            Route("/s/{session}/{path:path}", self.missed, methods=_METHODS),
        ]

    async def changes(self, request: Request) -> Response:
        """Give the visitor whose session it is the files that were saved in it."""
        found = await self._stored(request.path_params["session"])
        if found and found[0].state is SessionState.OPEN and found[0].target and _is_let_through(request, found[0]):
            return await self._changes.answer(found[0], found[0].target)
        return await self.missed(request)

    async def ends(self, request: Request) -> Response:
        """Tell the page of a session when the session ends, or that it has ended."""
        found = await self._stored(request.path_params["session"])
        session = found[0] if found else None
        if session is None or session.state is not SessionState.OPEN:
            return _ended(session)
        if session.target and _is_let_through(request, session):
            return await self._ends.answer(session, session.target)
        return await self.missed(request)

    async def missed(self, request: Request) -> Response:
        """Say that a session has ended, and offer to start again at the same notebook."""
        found = await self._stored(request.path_params["session"])
        if is_at_a_session(request, self._context.settings):
            return await self._missed_there(request, found[0] if found else None)
        if found and not await self._access.may_see(await self._access.viewer(request), found[2]):
            found = None
        if found is None:
            raise NotVisibleError("There is no such session.")
        session, build, repository = found
        if session.state is SessionState.OPEN and self._holds_token(request, session):
            # The proxy's table is behind the store, as it is for a moment after a restart, or where another replica has
            # just opened the session.
            await self._context.keeper.ensure_route(session)
            return self._led_back(request, session) or html(
                "soon.html", status=503, headers={"Retry-After": "1"}, refresh_seconds=1
            )
        path = request.path_params.get("path", "")
        link = _link_back(repository, build.sha, path)
        if not is_final(session.state):  # another visitor's: to this one it is not there
            return html("ended.html", status=404, link=link, reason=None)
        if path.startswith("api/"):
            return self._gone(session, link)
        return html("ended.html", status=410, link=link, reason=session.reason)

    def _gone(self, session: Session, link: Link) -> Response:
        """Tell a program what a page would have told: what happened, and where to start again."""
        said = {
            "message": f"This session has ended. {session.reason or ''}".strip(),
            "start_again": f"{self._context.settings.url}{link.address}",
        }
        return JSONResponse(said, 410, {"Cache-Control": "no-store"})

    async def _missed_there(self, request: Request, session: Session | None) -> Response:
        """Answer at a session's own origin, where no page of the service is: hostile scripts could read it there."""
        settings, path = self._context.settings, request.path_params.get("path", "")
        if session and session.state is SessionState.OPEN:
            if answer := let_in(request, session, settings, utc_now()):
                return answer
            if self._holds_token(request, session):
                await self._context.keeper.ensure_route(session)
                waits = HTMLResponse(render("pages/unavailable.html"), 503, {"Retry-After": "1"})
                return self._led_back(request, session) or waits
        if request.method != "GET" or path.startswith(_NOT_PAGES):
            return _ended(session)
        return redirect(settings.url + session_address(request.path_params["session"], quote(path)))

    def _led_back(self, request: Request, session: Session) -> Response | None:
        settings = self._context.settings
        if settings.sessions_host and not is_at_a_session(request, settings):
            return None  # no way of a session's begins at the service's origin then
        address = way_back(request.scope["raw_path"], request.url.query, session, utc_now())
        return RedirectResponse(address, 307, {"Cache-Control": "no-store"}) if address else None

    def _holds_token(self, request: Request, session: Session) -> bool:
        held = request.cookies.get(cookie_name(self._context.settings), "")
        return secrets.compare_digest(held.encode(), session.token.encode())

    async def _stored(self, session_id: str) -> tuple[Session, Build, Repository] | None:
        if not is_session_id(session_id):
            return None
        async with self._context.store.read() as transaction:
            session = await transaction.get(Session, session_id)
            if session is None:
                return None
            build = await transaction.get_one(Build, session.build_id)
            repository = await transaction.get_one(Repository, session.repository_id)
        return session, build, repository


def way_back(raw_path: bytes, query: str, session: Session, now: datetime) -> str | None:
    """Return the address that a visitor came to, where it leads to the session now that its way is open.

    None where the visitor is better told to wait: long after the session was opened, or at an address that the proxy
    reads in another way than we do, so that nobody is led in circles.
    """
    path = raw_path.decode("latin-1")
    just_opened = session.opened_at is not None and now - session.opened_at < _JUST_OPENED
    if not just_opened or not path.startswith(base_path_of(session.id)):
        return None
    return f"{path}?{query}" if query else path


def _ended(session: Session | None) -> Response:
    """Say no more than that a session has ended. To 404, JupyterLab would look for what is there instead, for ever."""
    status = 410 if session and is_final(session.state) else 404
    return PlainTextResponse("This session has ended.", status, {"Cache-Control": "no-store"})


def _is_let_through(request: Request, session: Session) -> bool:
    """Whether HAProxy found the session's token, which it passes on here wherever it found it."""
    kind, _, held = request.headers.get("authorization", "").partition(" ")
    return kind.lower() == "token" and secrets.compare_digest(held.encode(), session.token.encode())


def _link_back(repository: Repository, sha: str, path: str) -> Link:
    if path.startswith(_NOT_PAGES):
        return start_again(repository, sha)
    try:
        return start_again(repository, sha, path)
    except VisitorFault:
        return start_again(repository, sha)
