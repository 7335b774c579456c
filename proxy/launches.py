"""What the page of a link and the build API do alike: who launches, within which bounds, and how a session is entered.

What follows a click is `proxy.launch`'s decision, and carrying it out `proxy.claims`'.
"""

import time
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request

from binder.errors import OperatorFault
from binder.figures import Outcome
from binder.log import logger
from binder.store.tables import Session, utc_now
from proxy.access import Access
from proxy.claims import Launched, Launcher, Quota, launch
from proxy.commits import Commit, CommitFinder
from proxy.context import ProxyContext
from proxy.faults import TooManyError
from proxy.launch import BuildFailed, Full, StartFailed
from proxy.launch_limits import launcher_keys
from proxy.providers import provider_of
from proxy.viewers import Viewer
from proxy.waiting import Turn

log = logger(__name__)

# What is none of these goes on.
_ENDS: Final[Mapping[type[object], Outcome]] = {
    Session: "opened",
    BuildFailed: "build_failed",
    StartFailed: "start_failed",
    Full: "full",
}


class Launches:
    """Launches within the bounds of one service."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self.access = Access(context)
        self.commits = CommitFinder(context.store, context.resolver, context.settings, self.access, context.sign_in)

    def launcher(self, request: Request, viewer: Viewer, ticket: str) -> Launcher:
        """Return who asks; `ticket` is their place in the queue."""
        keys, limits = launcher_keys(request, viewer), self._context.limits
        # What is started is counted when it is: a stream may ask for a session long after it asked for a build.
        return Launcher(
            viewer.visitor_id, lambda: limits.start(keys, time.monotonic()), Turn(self._context.queue, ticket)
        )

    async def launch(self, commit: Commit, launcher: Launcher) -> Launched:
        """Do the one next thing for a commit, as `proxy.claims.launch` does.

        Raises: StoreUnavailableError; TooManyError.
        """
        settings, figures = self._context.settings, self._context.figures
        quota = Quota(settings.sessions_at_most, settings.sessions_per_repository)
        provider = provider_of(commit.repository).id
        asked_at = utc_now()
        try:
            launched = await launch(self._context.store, commit, launcher, quota, asked_at)
        except TooManyError:
            figures.launched(provider, "too_many")
            raise
        if outcome := _ENDS.get(type(launched.outcome)):
            figures.launched(provider, outcome)
        if isinstance(launched.outcome, Session):
            since = launched.waited_since
            figures.claimed("miss" if since else "hit", (utc_now() - (since or asked_at)).total_seconds())
        return launched

    async def open_way(self, session: Session, full_name: str) -> None:
        """Have HAProxy lead to a session that was claimed."""
        try:
            await self._context.keeper.ensure_route(session)
        except OperatorFault as error:
            # The session is the visitor's already: the keeper makes the route as soon as it can.
            log.warning("route_delayed", session=session.id, reason=error.message)
        log.info("session_opened", session=session.id, repository=full_name)
