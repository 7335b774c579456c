"""The pages that set up the App: the operator's code, what is wished, what GitHub is asked, and the way back.

Owns what a browser sees and holds; who may take part, and what becomes of GitHub's answer, is the set-up's own. No
secret comes into a page or an address.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from binder.app_manifest import (
    CREATED_PATH,
    EVENTS,
    INSTALLED_PATH,
    PERMISSIONS,
    Registration,
    Wishes,
    default_name,
    registration,
)
from binder.errors import VisitorFault
from proxy.answers import html
from proxy.context import ProxyContext

_PATH = "/setup"
_COOKIE = "binder-setup"
_COOKIE_SECONDS = 3600
_LARGEST_FORM_BYTES = 1000
_NOT_THE_CODE = "That is not the code, or it is over or used up. `binder setup` prints a new one."


class SetUpPages:
    """Pages for the operator, before there is an App; and one for whoever has installed it."""

    def __init__(self, context: ProxyContext) -> None:
        self._settings = context.settings
        self._set_up = context.set_up

    def routes(self) -> list[BaseRoute]:
        """Return the routes of these pages."""
        return [
            Route(_PATH, self.show, methods=["GET"]),
            Route(_PATH, self.begin, methods=["POST"]),
            Route(CREATED_PATH, self.finish, methods=["GET"]),
            Route(INSTALLED_PATH, self.installed, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        """Ask for the code, then for wishes, then show what GitHub will be asked."""
        self._check_open()
        state = self._set_up.state_of(request.cookies.get(_COOKIE))
        if state is None:
            return html("setup_code.html", fault=None)
        query = request.query_params
        if "name" not in query:
            return self._ask_wishes(Wishes(default_name(self._settings.url)))
        wishes = Wishes(query["name"], query.get("organization", ""), public="public" in query)
        try:
            return self._review(self._registration(wishes), state)
        except VisitorFault as error:
            return self._ask_wishes(wishes, error.message)

    def _registration(self, wishes: Wishes) -> Registration:
        settings = self._settings
        return registration(
            wishes,
            url=settings.url,
            github_url=settings.github_url,
            pulls_deliveries=settings.github_deliveries == "pull",
        )

    def _ask_wishes(self, wishes: Wishes, fault: str | None = None) -> Response:
        host = urlsplit(self._settings.github_url).hostname
        return html("setup_wishes.html", status=400 if fault else 200, wishes=wishes, host=host, fault=fault)

    def _review(self, asked: Registration, state: str) -> Response:
        parts = urlsplit(self._settings.github_url)
        return html(
            "setup_review.html",
            # GitHub may want to know where a form comes from, as it does from everybody else.
            headers={"Referrer-Policy": "strict-origin"},
            forms_go_to=f"{parts.scheme}://{parts.netloc}",
            asked=asked,
            state=state,
            host=parts.hostname,
            permissions=PERMISSIONS,
            events=EVENTS,
            pulls_deliveries=self._settings.github_deliveries == "pull",
        )

    async def begin(self, request: Request) -> Response:
        """Give the browser that brings the code its turn."""
        self._check_open()
        token = self._set_up.begin((await _form(request)).get("code", ""))
        if token is None:
            return html("setup_code.html", status=403, fault=_NOT_THE_CODE)
        answer = RedirectResponse(_PATH, 303, {"Cache-Control": "no-store"})
        answer.set_cookie(
            _COOKIE,
            token,
            max_age=_COOKIE_SECONDS,
            path=_PATH,
            secure=self._settings.is_secure,
            httponly=True,
            samesite="lax",  # it must come along when GitHub sends the browser back
        )
        return answer

    async def finish(self, request: Request) -> Response:
        """Take what GitHub sent along with the browser, and go on to where the App is installed."""
        self._check_open()
        query = request.query_params
        token = request.cookies.get(_COOKIE)
        address = await self._set_up.finish(token, query.get("state", ""), query.get("code", ""))
        answer = RedirectResponse(address, 302, {"Cache-Control": "no-store"})
        answer.delete_cookie(_COOKIE, path=_PATH)
        return answer

    async def installed(self, request: Request) -> Response:
        """Say what happens next. What the address says of the installation is anybody's word, and not looked at."""
        if not self._set_up.is_closed:
            raise VisitorFault("No GitHub App is set up here.")
        return html("setup_installed.html", is_asked_for=request.query_params.get("setup_action") == "request")

    def _check_open(self) -> None:
        if self._set_up.is_closed:
            raise VisitorFault("The GitHub App of this service is set up: this page is closed.")


async def _form(request: Request) -> Mapping[str, str]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM_BYTES:
            raise VisitorFault("That is more than a code.")
    return dict(parse_qsl(body.decode(errors="replace")))
