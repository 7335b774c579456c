"""The whole path with two sessions on it, one of an attacker's own and one of another's: the aim of attacks."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from binder.lifecycle import SessionState
from binder.paths import Paths
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Session
from proxy.origins import cookie_name
from tests.proxy.front import Proxy, service_in
from tests.proxy.rows import add_build, add_repository, add_session
from tests.proxy.upstreams import mirror


@dataclass(frozen=True)
class TwoSessions:
    """A real HAProxy, real pages, and two servers, `mine` and `theirs`, that note in `seen` what reaches them."""

    proxy: Proxy
    settings: Settings
    paths: Paths
    mine: Session
    theirs: Session
    seen: list[dict[str, Any]]

    def host(self, session: Session) -> str:
        """Return the host by which a session is asked for."""
        return f"{session.id}.{self.settings.sessions_host}" if self.settings.sessions_host else "a"

    def filled(self, text: str) -> str:
        """Put in what stands for hosts (`MY-HOST`), sessions (`MINE`), the attacker's `TOKEN` and its `COOKIE`."""
        for word, value in (
            ("MY-HOST", self.host(self.mine)),
            ("THEIR-HOST", self.host(self.theirs)),
            ("MINE", self.mine.id),
            ("THEIRS", self.theirs.id),
            ("COOKIE", f"{cookie_name(self.settings)}=TOKEN"),
            ("TOKEN", self.mine.token),
        ):
            text = text.replace(word, value)
        return text


@asynccontextmanager
async def two_sessions(settings: Settings, paths: Paths, store: Store) -> AsyncIterator[TwoSessions]:
    """Give the whole path, open."""
    build = await add_build(store, await add_repository(store))
    seen: list[dict[str, Any]] = []
    async with AsyncExitStack() as stack:
        targets = [await stack.enter_async_context(mirror(name, seen)) for name in ("mine", "theirs")]
        mine, theirs = [await add_session(store, build, SessionState.OPEN, target=target) for target in targets]
        proxy = await stack.enter_async_context(service_in(settings, paths, store))
        yield TwoSessions(proxy, settings, paths, mine, theirs, seen)


def with_origins(settings: Settings, where: str) -> Settings:
    """Return settings under which sessions are at `paths`, or at `origins` of their own."""
    return settings.model_copy(update={"sessions_host": "sessions.localhost" if where == "origins" else ""})
