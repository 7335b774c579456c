"""The loop step that keeps what GitHub shows in line with the builds: see what changed, then send one report."""

from binder.figures import Figures
from binder.settings import Settings
from binder.store import Store
from githubapp.reports import Addresses
from githubapp.sending import Sender
from githubapp.showing import GitHub
from githubapp.watch import BuildWatch


class Reporter:
    """Watches and sends. Several may work side by side, here and in other processes."""

    def __init__(self, store: Store, github: GitHub, settings: Settings, figures: Figures | None = None) -> None:
        self._watch = BuildWatch(store, Addresses(settings.url, settings.github_url))
        self._sender = Sender(store, github, figures)

    async def step(self) -> bool:
        """Note the builds that changed and send what has been owed the longest; return whether there was anything."""
        changed = await self._watch.note_changes()
        return await self._sender.send_next() or changed
