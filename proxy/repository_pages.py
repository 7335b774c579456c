"""The page of a repository: its previews, its last builds, and the badge that opens it."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from binder.errors import VisitorFault
from binder.settings import Settings
from binder.store.tables import Repository
from proxy.access import Access
from proxy.answers import html
from proxy.badges import badge_texts
from proxy.context import ProxyContext
from proxy.faults import NotVisibleError
from proxy.links import link_to, repository_of_request
from proxy.providers import named_of, provider_of
from proxy.repository_facts import MOST_BUILDS, MOST_PREVIEWS, build_line, preview_facts, rows_of


class RepositoryPages:
    """Shows repositories."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._access = Access(context)

    def routes(self) -> list[BaseRoute]:
        """Return the route of a repository's page."""
        return [Route("/r/{provider}/{spec:path}", self.repository)]

    async def repository(self, request: Request) -> Response:
        """Show a repository to who may see it."""
        repository = await self._visible(request)
        async with self._context.store.read() as session:
            previews, builds_of_heads, builds = await rows_of(session, repository)
        provider = provider_of(repository).id
        link = link_to(provider, named_of(repository), "HEAD", {})
        return html(
            "repository.html",
            link=link,
            has_refs=provider_of(repository).has_refs,
            previews=[preview_facts(repository, one, builds_of_heads.get(one.head_sha)) for one in previews],
            builds=[build_line(build) for build in builds],
            texts=None if provider == "local" else badge_texts(link, self._context.settings.url),
            most_previews=MOST_PREVIEWS,
            most_builds=MOST_BUILDS,
        )

    async def _visible(self, request: Request) -> Repository:
        """Return the repository of an address.

        Raises: NotVisibleError, the same where there is none and where the viewer may not know of it; WorldFault.
        """
        repository, ref = await repository_at(self._context.settings, self._access, request)
        if repository is None or ref:
            raise NotVisibleError("Nothing is known here of such a repository that you may see.")
        return repository


async def repository_at(settings: Settings, access: Access, request: Request) -> tuple[Repository | None, str]:
    """Return the repository that an address names, and what follows it.

    It is None where there is no such thing, or where the viewer may not know of it. Raises: WorldFault.
    """
    try:
        provider, named, ref = repository_of_request(request.scope["raw_path"])
        place = provider.place(named, settings)
    except VisitorFault:
        return None, ""
    return await access.repository(await access.viewer(request), place), ref
