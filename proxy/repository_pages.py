"""The page of a repository: its previews, its last builds, and the badge that opens it."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from binder.names import is_repository
from binder.store.tables import Repository
from proxy.access import Access
from proxy.answers import html
from proxy.badges import badge_texts
from proxy.context import ProxyContext
from proxy.faults import NotVisibleError
from proxy.links import link_to
from proxy.providers import PROVIDERS, Named
from proxy.repository_facts import MOST_BUILDS, MOST_PREVIEWS, build_line, preview_facts, rows_of

# Whose repositories are all called `owner/name`.
_PROVIDERS: Final = frozenset({"gh", "local"})


class RepositoryPages:
    """Shows repositories."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._access = Access(context)

    def routes(self) -> list[BaseRoute]:
        """Return the route of a repository's page."""
        return [Route("/r/{provider}/{owner}/{name}", self.repository)]

    async def repository(self, request: Request) -> Response:
        """Show a repository to who may see it."""
        provider = request.path_params["provider"]
        repository = await self._visible(request, **request.path_params)
        async with self._context.store.read() as session:
            previews, builds_of_heads, builds = await rows_of(session, repository)
        link = link_to(provider, Named(repository.owner, repository.name), "HEAD", {})
        return html(
            "repository.html",
            repository=repository,
            provider=provider,
            previews=[preview_facts(repository, one, builds_of_heads.get(one.head_sha)) for one in previews],
            builds=[build_line(build) for build in builds],
            texts=None if provider == "local" else badge_texts(link, self._context.settings.url),
            most_previews=MOST_PREVIEWS,
            most_builds=MOST_BUILDS,
        )

    async def _visible(self, request: Request, provider: str, owner: str, name: str) -> Repository:
        """Return the repository of an address.

        Raises: NotVisibleError, the same where there is none and where the viewer may not know of it; WorldFault.
        """
        repository = None
        if provider in _PROVIDERS and is_repository(owner, name):
            place = PROVIDERS[provider].place(Named(owner, name), self._context.settings)
            repository = await self._access.repository(await self._access.viewer(request), place)
        if repository is None:
            raise NotVisibleError("Nothing is known here of such a repository that you may see.")
        return repository
