"""The page that tells what happened to a commit, and why: what `binder why` tells, without what is for operators."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from binder.build_words import words_of_time
from binder.errors import VisitorFault
from binder.store.commits import MOST_FOUND, MOST_ROWS, Commit, find_commits, prefix_of, rows_of
from binder.story import story_of
from proxy.access import Access
from proxy.answers import html
from proxy.build_pages import start_again
from proxy.context import ProxyContext
from proxy.faults import NotVisibleError
from proxy.repository_pages import repository_at


class WhyPages:
    """Shows the stories of commits."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._access = Access(context)

    def routes(self) -> list[BaseRoute]:
        """Return the route of a commit's story."""
        return [Route("/why/{provider}/{spec:path}", self.why)]

    async def why(self, request: Request) -> Response:
        """Show what happened to a commit; the first 7 letters of its sha will do."""
        commit = await self._visible(request)
        async with self._context.store.read() as session:
            rows = await rows_of(session, commit)
        repository, sha = rows.commit.repository, rows.commit.sha
        events = [
            (event, "" if event.after_seconds is None else words_of_time(event.after_seconds))
            for event in story_of(rows)
        ]
        return html(
            "why.html",
            sha=sha,
            events=events,
            is_whole=rows.is_whole,
            most=MOST_ROWS,
            link=start_again(repository, sha),
        )

    async def _visible(self, request: Request) -> Commit:
        """Return the commit of an address.

        Raises: VisitorFault, the same where there is none and where the viewer may not know of it; WorldFault.
        """
        repository, sha = await repository_at(self._context.settings, self._access, request)
        prefix, found = prefix_of(sha), []
        if repository and prefix:
            async with self._context.store.read() as session:
                found = list(await find_commits(session, prefix, [repository.id]))
        if len(found) > 1:
            more = " and others" if len(found) == MOST_FOUND else ""
            raise VisitorFault(f"Several commits begin like this: {', '.join(one.sha for one in found)}{more}.")
        if not found:
            raise NotVisibleError("Nothing is known here of such a commit of a repository that you may see.")
        return found[0]
