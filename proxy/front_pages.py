"""The front page with its link and badge maker, the badges, and what every host has."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from binder.errors import VisitorFault
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

    async def nothing(self, _: Request) -> Response:
        """Have no icon."""
        return Response(status_code=204)

    async def robots(self, _: Request) -> Response:
        """Ask crawlers not to launch anything."""
        return PlainTextResponse(_ROBOTS)
