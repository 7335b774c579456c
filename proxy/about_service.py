"""What programs ask of the service itself: which version it is, and which kinds of links it opens.

Source: https://binderhub.readthedocs.io/en/latest/api.html
"""

from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from proxy.context import ProxyContext
from proxy.providers import PROVIDERS

_FOR_ANYBODY = {"Access-Control-Allow-Origin": "*"}
# What nobody but this machine's own people has links to.
_NOT_OFFERED = frozenset({"local"})
_OF_ANY_HOST = frozenset({"git", "ckan"})


class AboutService:
    """Answers for the service."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context

    def routes(self) -> list[BaseRoute]:
        """Return the routes of these answers."""
        return [Route("/versions", self.versions), Route("/api/repoproviders", self.providers)]

    async def versions(self, _: Request) -> Response:
        """Say which version this is, under the names that BinderHub's clients know."""
        own = version("binder")
        return JSONResponse({"builder": f"binder {own}", "binderhub": own}, headers=_FOR_ANYBODY)

    async def providers(self, _: Request) -> Response:
        """Say what links may name, in the form that BinderHub's pages draw their form from."""
        return JSONResponse(offered_providers(self._context.settings.git_hosts), headers=_FOR_ANYBODY)


def offered_providers(git_hosts: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return what a form may offer; links to any host are left out where no host may be named. Pure."""
    left_out = _NOT_OFFERED | (_OF_ANY_HOST if git_hosts == ("none",) else set())
    return [
        {
            "id": provider.id,
            "displayName": provider.title,
            "spec": {"validateRegex": provider.pattern},
            "detect": {"regex": provider.detects} if provider.detects else {},
            "repo": {"label": provider.label, "placeholder": f"example: {provider.placeholder}"},
            "ref": {"enabled": True, "default": "HEAD"} if provider.has_refs else {"enabled": False},
        }
        for provider in PROVIDERS.values()
        if provider.id not in left_out
    ]
