"""Wires what works with GitHub: at the start where there is an App, or later, without a restart, once one is set up."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.routing import Route

from binder.figures import Figures
from binder.log import logger
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Repository
from githubapp import pulled, redelivery
from githubapp.client import GitHubClient
from githubapp.comparisons import Comparisons
from githubapp.inbox import Inbox, webhook_route
from githubapp.polling import Polled
from githubapp.previews import DeliveryWorker
from githubapp.reporter import Reporter
from githubapp.visitors import Visitors

log = logger(__name__)

Step = Callable[[], Awaitable[bool]]

_LOOPS = ("deliveries", "comparisons", "reports", "missed")


class GitHubSide:
    """The App's part of a service. Before there is an App, it refuses what comes and has nothing to do.

    Only one that `tells` GitHub something needs the App's private key; others take deliveries, and sign visitors in.
    """

    def __init__(self, store: Store, settings: Settings, figures: Figures | None = None, *, tells: bool = True) -> None:
        self._figures = figures or Figures()
        self._tells = tells
        self._store = store
        self._inbox = Inbox(store, settings, self._figures)
        self.visitors = Visitors(store)
        self._client: GitHubClient | None = None
        self._steps: Mapping[str, Step] = {}

    async def begin_with(self, settings: Settings) -> None:
        """Work as the App that the settings name, if they name one.

        Raises: OperatorFault.
        """
        if settings.github_app_id is None:
            log.info("github_not_set_up", help="`binder setup` makes a GitHub App for this service.")
            return
        client = GitHubClient.from_settings(settings) if self._tells else None
        self.close()
        self._inbox.begin_with(settings)
        self.visitors.begin_with(settings)
        if client:
            self._begin_telling(client, settings)
        self._store.changed.give()

    def _begin_telling(self, client: GitHubClient, settings: Settings) -> None:
        self._client = client
        self._figures.allowance_from(client.lowest_allowance)
        self._steps = {
            "deliveries": DeliveryWorker(self._store, client, settings).step,
            "comparisons": Comparisons(self._store, client, settings).step,
            "reports": Reporter(self._store, client, settings, self._figures).step,
            "missed": _missed(client, self._inbox, settings).step,
        }

    def route(self) -> Route:
        """Return the route that deliveries come to."""
        return webhook_route(self._inbox)

    def loops(self) -> Mapping[str, Step]:
        """Return the steps of all loops, which do nothing before there is an App."""
        return {name: self._step_of(name) for name in _LOOPS}

    def _step_of(self, name: str) -> Step:
        async def step() -> bool:
            found = self._steps.get(name)
            return await found() if found else False

        return step

    async def clone_credentials(self, repository: Repository) -> str | None:
        """Return a token that can read this repository only, or None where it needs none."""
        return await self._client.clone_credentials(repository) if self._client else None

    def close(self) -> None:
        """Let go of all connections."""
        self.visitors.close()
        if self._client:
            self._client.close()


def _missed(client: GitHubClient, inbox: Inbox, settings: Settings) -> Polled:
    """Return what finds the deliveries that did not come."""
    if settings.github_deliveries == "pull":
        return Polled(
            "pulled", pulled.PulledDeliveries(client.about_app, inbox).look, every_seconds=pulled.EVERY_SECONDS
        )
    again = redelivery.Redelivery(client.about_app, inbox.intake)
    return Polled("redelivery", again.look, every_seconds=redelivery.EVERY_SECONDS)
