"""The front page with its link and badge maker, the badges, and what every host has."""

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from binder.errors import BinderError, VisitorFault
from binder.store.tables import Repository
from proxy.about_service import offered_providers
from proxy.answers import asset, html
from proxy.badges import badge_texts, link_of_form
from proxy.context import ProxyContext

_SCRIPTS = ("build.js", "copy.js", "front.js", "launch.js")
_ASSETS = {"binder.css": "text/css"} | dict.fromkeys(_SCRIPTS, "text/javascript")
# Every link of /v2/ starts something: it is for people to click on, not for crawlers to follow.
_NOT_FOR_CRAWLERS = ("/v2/", "/repo/", "/s/", "/launch/", "/builds/", "/why/", "/operator", "/r/")
_ROBOTS = "User-agent: *\n" + "".join(f"Disallow: {address}\n" for address in _NOT_FOR_CRAWLERS)


class FrontPages:
    """Pages that need no link."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context

    def routes(self) -> list[BaseRoute]:
        """Return the routes of these pages."""
        badges = ("/badge_logo.svg", "/badge.svg", "/assets/images/badge.svg")
        return [
            Route("/", self.front),
            *(Route(address, self.badge) for address in badges),
            Route("/assets/{name}", self.asset),
            Route("/health", self.health),
            Route("/favicon.ico", self.nothing),
            Route("/robots.txt", self.robots),
        ]

    async def front(self, request: Request) -> Response:
        """Say what this is; make a link and badges of the form where it was sent."""
        form = {name: request.query_params.get(name, "") for name in ("provider", "repository", "ref", "path", "kind")}
        texts, fault = None, None
        if "repository" in request.query_params:
            try:
                link = link_of_form(form, self._context.settings.github_url)
                texts = badge_texts(link, self._context.settings.url)
            except VisitorFault as error:
                fault = error.message
        providers = offered_providers(self._context.settings.git_hosts)
        return html("front.html", form=form, texts=texts, fault=fault, providers=providers)

    async def badge(self, _: Request) -> Response:
        """Show the badge, on anybody's page."""
        headers = {"Cache-Control": "public, max-age=86400", "Cross-Origin-Resource-Policy": "cross-origin"}
        return Response(asset("badge.svg"), headers=headers, media_type="image/svg+xml")

    async def asset(self, request: Request) -> Response:
        """Give a style sheet or script."""
        name = request.path_params["name"]
        if name not in _ASSETS:
            raise VisitorFault("There is no such file.")
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(asset(name), headers=headers, media_type=_ASSETS[name])

    async def health(self, _: Request) -> Response:
        """Say whether the store and HAProxy answer: 200 or 503."""
        checks = [
            {"service": "store", "ok": await self._store_answers()},
            {"service": "haproxy", "ok": await self._haproxy_answers()},
        ]
        ok = all(check["ok"] for check in checks)
        return JSONResponse({"ok": ok, "checks": checks}, 200 if ok else 503, {"Cache-Control": "no-store"})

    async def nothing(self, _: Request) -> Response:
        """Have no icon."""
        return Response(status_code=204)

    async def robots(self, _: Request) -> Response:
        """Ask crawlers not to launch anything."""
        return PlainTextResponse(_ROBOTS)

    async def _store_answers(self) -> bool:
        try:
            async with self._context.store.read() as session:
                await session.execute(select(Repository.id).limit(1))
        except BinderError:
            return False
        return True

    async def _haproxy_answers(self) -> bool:
        try:
            await self._context.haproxy.running_pid()
        except BinderError:
            return False
        return True
