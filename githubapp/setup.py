"""Sets up the App in one click: from the operator's code to keys that are kept. Closed for good once there is an App.

Owns who may take part (whoever has the code, in one browser, for a while) and the trade of GitHub's code for the App's
keys. The pages are `proxy.setup_pages`; what the App asks for is `binder.app_manifest`; who is told of the new App is
the caller's choice.
"""

import asyncio
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from binder.errors import VisitorFault, WorldFault
from binder.log import logger
from binder.paths import Paths
from binder.settings import Settings
from binder.store.tables import utc_now
from githubapp.connection import Connection
from githubapp.faults import GitHubRefusalError
from githubapp.setup_code import take_code
from githubapp.stored_app import StoredApp, with_stored_app, write_app

log = logger(__name__)

_LIFETIME = timedelta(minutes=60)  # as long as GitHub's code lives
_CODE = re.compile(r"[A-Za-z0-9_-]{1,200}")
_BEGIN_AGAIN = "Run `binder setup` for a new code, and begin again."


@dataclass(frozen=True)
class _Turn:
    """One browser's turn at it: `token` is its cookie, `state` what GitHub brings back."""

    token: str = field(repr=False)
    state: str = field(repr=False)
    ends: datetime


class SetUp:
    """The set-up of one service. `settings` are those that the process began with."""

    def __init__(self, settings: Settings, paths: Paths, begin_with: Callable[[Settings], Awaitable[None]]) -> None:
        self._settings = settings
        self._paths = paths
        self._begin_with = begin_with
        self._turn: _Turn | None = None
        self._trading = asyncio.Lock()

    @property
    def is_closed(self) -> bool:
        """Whether there is an App already, so that nothing of this can be reached any more."""
        return with_stored_app(self._settings, self._paths.github).github_app_id is not None

    def begin(self, code: str) -> str | None:
        """Return the token of the browser that brought the operator's code, or None where that is not the code."""
        if self.is_closed or not take_code(self._paths.github, code, utc_now()):
            log.warning("setup_code_refused")
            return None
        self._turn = _Turn(secrets.token_urlsafe(32), secrets.token_urlsafe(32), utc_now() + _LIFETIME)
        log.info("setup_begun")
        return self._turn.token

    def state_of(self, token: str | None) -> str | None:
        """Return what GitHub is to bring back to the browser that holds `token`, or None where it has no turn."""
        turn = self._turn
        if turn is None or token is None or utc_now() >= turn.ends:
            return None
        return turn.state if _is_same(token, turn.token) else None

    async def finish(self, token: str | None, state: str, code: str) -> str:
        """Trade GitHub's code for the App, keep it, begin to work with it, and return where it is installed.

        The turn is over with that, and with a code that GitHub does not take; where GitHub does not answer, the same
        address may be asked for again.

        Raises: VisitorFault, WorldFault, OperatorFault.
        """
        async with self._trading:
            wanted = self.state_of(token)
            if self.is_closed or wanted is None or not _is_same(state, wanted):
                raise VisitorFault(f"This is not the browser, or not the way back, of a set-up here. {_BEGIN_AGAIN}")
            app = await self._trade(code)
            self._turn = None
            write_app(self._paths.github, app)
            log.info("app_set_up", app=app.app_id, slug=app.slug)
            await self._begin_with(with_stored_app(self._settings, self._paths.github))
        return f"{app.page}/installations/new"

    async def _trade(self, code: str) -> StoredApp:
        if not _CODE.fullmatch(code):
            raise VisitorFault(f"GitHub sent no code with the way back. {_BEGIN_AGAIN}")
        try:
            return StoredApp.from_conversion(await self._ask(code))
        except GitHubRefusalError as error:
            self._turn = None
            raise VisitorFault(f"GitHub does not take this code, or not any more. {_BEGIN_AGAIN}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise WorldFault("GitHub's answer has no App in it.") from error

    async def _ask(self, code: str) -> Mapping[str, Any]:
        path = f"/app-manifests/{code}/conversions"
        threads = ThreadPoolExecutor(1, thread_name_prefix="github-setup")
        connection = Connection(self._settings.github_api_url, None, threads)
        try:
            answer: tuple[Any, Mapping[str, Any]] = await connection.call(
                lambda github: github.requester.requestJsonAndCheck("POST", path)
            )
        finally:
            connection.close()
            threads.shutdown(wait=False)
        return answer[1]


def _is_same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())
