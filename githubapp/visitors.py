"""People who signed in: who they are, and what GitHub shows them, asked with their own tokens.

Owns the rows of visitors and what is sealed in them. Which browser is whose, how long an answer is good and what
follows from it are the proxy's.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote
from weakref import WeakValueDictionary

from github import Auth
from sqlalchemy import select

from binder.errors import VisitorFault
from binder.log import logger
from binder.settings import Settings
from binder.store import Store
from binder.store.access import sign_out_everywhere
from binder.store.tables import Visitor, utc_now
from githubapp.calls import GONE, unless_gone
from githubapp.connection import Connection
from githubapp.faults import GitHubSignInError
from githubapp.oauth import OAuth, UserTokens
from githubapp.sealing import Seal

log = logger(__name__)

_THREADS = 8
# Beside what is not there: not permitted (an organization may want its own sign-on), and no such commit.
_NOT_SHOWN = GONE | {403, 409, 422}


class _App:
    """What it takes to act for the people of one App."""

    def __init__(self, settings: Settings) -> None:
        self.host = settings.github_host
        self.seal = Seal(settings.github_client_secret.get_secret_value())
        self._api_url = settings.github_api_url
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="github-visitors")
        self._pages = Connection(settings.github_url, None, self._threads)
        self.oauth = OAuth(settings, self._pages)

    async def get(self, tokens: UserTokens, path: str) -> Mapping[str, Any]:
        """Return what GitHub shows a person. Raises: what `Connection.call` raises."""
        connection = Connection(self._api_url, Auth.Token(tokens.access), self._threads)
        try:
            _, answer = await connection.call(lambda github: github.requester.requestJsonAndCheck("GET", path))
        finally:
            connection.close()
        told: Mapping[str, Any] = answer
        return told

    def close(self) -> None:
        self._pages.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class Visitors:
    """The people of one App. Before there is one, or where its client secret is not known, nobody signs in."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._app: _App | None = None
        self._renewing: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def begin_with(self, settings: Settings) -> None:
        """Let people sign in by the App that the settings name, if they name its client id and secret."""
        self.close()
        self._app = _App(settings) if settings.signs_in else None

    @property
    def is_open(self) -> bool:
        """Whether people can sign in."""
        return self._app is not None

    def address(self, state: str, challenge: str) -> str:
        """Return the page where GitHub asks a person; it sends them back with `state`.

        Raises: VisitorFault, where nobody can sign in.
        """
        return self._there.oauth.address(state, challenge)

    async def sign_in(self, code: str, verifier: str) -> int:
        """Return the visitor that GitHub sent back with `code`.

        Raises: VisitorFault, where GitHub does not take the code; WorldFault; OperatorFault.
        """
        app = self._there
        tokens = await app.oauth.redeem(code, verifier)
        told = await app.get(tokens, "/user")
        async with self._store.write() as session:
            same = (Visitor.host == app.host, Visitor.external_id == told["id"])
            row = (await session.scalars(select(Visitor).where(*same))).one_or_none()
            if row is None:
                row = Visitor(host=app.host, external_id=told["id"])
                session.add(row)
            row.login, row.tokens = told["login"], app.seal.seal(tokens)
            await session.flush()
        log.info("visitor_signed_in", visitor=row.id)
        return row.id

    async def sees(self, visitor_id: int, full_name: str) -> int | None:
        """Return GitHub's number of a repository, None where it shows none of that name to the visitor.

        Raises: WorldFault, where GitHub does not answer.
        """
        told = await self._ask(visitor_id, f"/repos/{quote(full_name)}")
        return int(told["id"]) if told else None

    async def commit(self, visitor_id: int, full_name: str, ref: str) -> str | None:
        """Return the sha of a branch, a tag or HEAD, None where GitHub shows no such thing to the visitor.

        Raises: WorldFault, where GitHub does not answer.
        """
        told = await self._ask(visitor_id, f"/repos/{quote(full_name)}/commits/{quote(ref)}")
        return str(told["sha"]) if told else None

    def close(self) -> None:
        """Let go of all connections."""
        if self._app:
            self._app.close()

    @property
    def _there(self) -> _App:
        if self._app is None:
            raise VisitorFault(
                "Nobody can sign in here: this service has no GitHub App that people could sign in with."
            )
        return self._app

    async def _ask(self, visitor_id: int, path: str) -> Mapping[str, Any] | None:
        app = self._there
        tokens = await self._tokens(app, visitor_id)
        if tokens is None:
            return None
        try:
            return await unless_gone(app.get(tokens, path), _NOT_SHOWN)
        except GitHubSignInError:
            # The visitor took the App's permission away, or GitHub did.
            log.info("visitor_not_accepted", visitor=visitor_id)
            await self._forget(app, visitor_id, tokens)
            return None

    async def _tokens(self, app: _App, visitor_id: int) -> UserTokens | None:
        """Return tokens that are good for some minutes, None where nobody is signed in as this visitor any more."""
        lock = self._renewing.setdefault(visitor_id, asyncio.Lock())
        async with lock:
            tokens = await self._kept(app, visitor_id)
            if tokens is None or not tokens.is_old(utc_now()):
                return tokens
            try:
                fresh = await app.oauth.renew(tokens.refresh or "")
            except VisitorFault:
                # Another replica may have been first: a refresh token is good once.
                later = await self._kept(app, visitor_id)
                if later and later != tokens:
                    return later
                await self._forget(app, visitor_id, tokens)
                return None
            return fresh if await self._keep(app, visitor_id, tokens, fresh) else None

    async def _kept(self, app: _App, visitor_id: int) -> UserTokens | None:
        async with self._store.read() as session:
            row = await session.get(Visitor, visitor_id)
        return app.seal.open(row.tokens) if row and row.tokens else None

    async def _keep(self, app: _App, visitor_id: int, old: UserTokens, fresh: UserTokens) -> bool:
        """Keep the next tokens; return whether the visitor is still signed in."""
        async with self._store.write() as session:
            row = await session.get_one(Visitor, visitor_id, with_for_update=True)
            if row.tokens is None:
                return False
            if app.seal.open(row.tokens) == old:
                row.tokens = app.seal.seal(fresh)
        return True

    async def _forget(self, app: _App, visitor_id: int, tokens: UserTokens) -> None:
        """Sign a visitor out everywhere, unless a new sign-in came in between."""
        async with self._store.write() as session:
            row = await session.get_one(Visitor, visitor_id, with_for_update=True)
            if row.tokens is not None and app.seal.open(row.tokens) == tokens:
                await sign_out_everywhere(session, visitor_id)
