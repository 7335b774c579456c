"""Which commit a link means: its repository and its sha.

Owns the order in which a ref is looked up, and the rule that what a visitor may not see does not exist. How a server is
asked for its refs is the resolver's.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from binder.errors import VisitorFault, WorldFault
from binder.names import is_sha
from binder.settings import Settings
from binder.store import Store
from binder.store.queries import find_repository, is_own_commit
from binder.store.tables import Repository
from proxy.branches import branch_of, last_good_build
from proxy.faults import NotVisibleError
from proxy.links import Link
from proxy.providers import PROVIDERS, Place
from proxy.providers.local import HOST as LOCAL
from proxy.viewers import ANYBODY, Viewer

_RESOLVE_SECONDS = 20.0
_RESOLVES_AT_ONCE = 4
_KEPT_SECONDS = 15.0
_KEPT_ANSWERS = 1000
# Links written before GitHub renamed its default: they mean the default branch, whatever it is called.
_OLD_DEFAULTS = frozenset({"master", "main"})


class Visible(Protocol):
    """Says which repositories a viewer may see."""

    async def repository(self, viewer: Viewer, place: Place) -> Repository | None:
        """Return the repository at a place, None where there is none, or where the viewer may not know of it."""


class PrivateRefs(Protocol):
    """Asks GitHub as a visitor."""

    async def commit(self, visitor_id: int, full_name: str, ref: str) -> str | None:
        """Return the sha of a branch, a tag or HEAD, None where GitHub shows no such thing to the visitor."""


class RefResolver(Protocol):
    """Asks a git server what a ref points to."""

    async def resolve(self, clone_url: str, ref: str) -> str | None:
        """Return the sha of a branch, a tag or HEAD; None where there is no such repository or ref.

        Raises: WorldFault, where the server does not answer.
        """


@dataclass(frozen=True)
class Commit:
    """A commit of a repository that is in the store; `untrusted` where it may be a fork's."""

    repository: Repository
    sha: str
    untrusted: bool = False


class CommitFinder:
    """Finds the commits of links; a server's answers are kept for some seconds, since waiting pages ask again."""

    def __init__(
        self, store: Store, resolver: RefResolver, settings: Settings, access: Visible, sign_in: PrivateRefs
    ) -> None:
        self._store = store
        self._access = access
        self._sign_in = sign_in
        self._resolver = resolver
        self._settings = settings
        self._turns = asyncio.Semaphore(_RESOLVES_AT_ONCE)
        self._answers = _Answers()

    async def find(self, link: Link, viewer: Viewer = ANYBODY) -> Commit:
        """Return the commit that a link means, its repository stored where it was not.

        Raises: NotVisibleError, where there is none that this viewer may see; WorldFault.
        """
        place = PROVIDERS[link.provider].place(link.named, self._settings)
        # A private repository goes the same way as one that is not there, and takes as long.
        visible = await self._access.repository(viewer, place)
        async with self._store.read() as session:
            sha = await _stored_sha(session, visible, link.ref) if visible else None
            untrusted = visible is not None and await _may_be_forks(session, visible, link.ref)
        if sha is None and visible and visible.private:
            sha = await self._ask_as(viewer, visible, link.ref)
        elif sha is None and place.clone_url:
            sha = await self._ask(visible.clone_url if visible else place.clone_url, link.ref)
        if sha is None:
            raise NotVisibleError(_not_found(link))
        return Commit(visible or await self._remember(link, place), sha, untrusted or self._is_strange(place))

    async def _ask_as(self, viewer: Viewer, repository: Repository, ref: str) -> str | None:
        """Ask as the viewer does, who may read it: nobody else's right is lent to a visitor."""
        visitor_id, where = viewer.visitor_id, f"{repository.clone_url} {viewer.visitor_id}"
        if visitor_id is None:
            return None
        answer = self._answers.get(where, ref)
        if answer is None:
            answer = self._answers.keep(where, ref, await self._sign_in.commit(visitor_id, repository.full_name, ref))
        if answer.sha is None and ref in _OLD_DEFAULTS:
            return await self._ask_as(viewer, repository, "HEAD")
        return answer.sha

    async def _ask(self, clone_url: str, ref: str) -> str | None:
        if is_sha(ref):
            # No server says whether it has a commit, but whether it has the repository; fetching says the rest.
            return ref if await self._resolve(clone_url, "HEAD") else None
        found = await self._resolve(clone_url, ref)
        if found is None and ref in _OLD_DEFAULTS:
            return await self._resolve(clone_url, "HEAD")
        return found

    async def _resolve(self, clone_url: str, ref: str) -> str | None:
        answer = self._answers.get(clone_url, ref) or await self._ask_server(clone_url, ref)
        return answer.sha

    async def _ask_server(self, clone_url: str, ref: str) -> "_Answer":
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS), self._turns:
                # Others may have asked the same while this one waited for its turn.
                kept = self._answers.get(clone_url, ref)
                return kept or self._answers.keep(clone_url, ref, await self._resolver.resolve(clone_url, ref))
        except TimeoutError as error:
            raise WorldFault("The repository's server did not answer in time. Please try again.") from error

    async def _remember(self, link: Link, place: Place) -> Repository:
        async with self._store.write() as session:
            known = await stored_at(session, place)
            if known and known.private:
                raise NotVisibleError(_not_found(link))  # the server knows better, but we are to be told
            if known:
                return known
            row = Repository(host=place.host, owner=place.owner, name=place.name, clone_url=place.clone_url)
            session.add(row)
            await session.flush()
            return row

    def _is_strange(self, place: Place) -> bool:
        """Whether a repository is at a host of which nobody here knows more than its address.

        Raises: VisitorFault, where nothing of such hosts is built.
        """
        if place.host in {self._settings.github_host, LOCAL}:
            return False
        if not self._settings.fork_builds_at_once:
            raise VisitorFault("This service builds no repositories of other hosts than GitHub.")
        return True


@dataclass(frozen=True)
class _Answer:
    sha: str | None
    at: float


class _Answers:
    """What servers answered a moment ago, at most so many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], _Answer] = OrderedDict()

    def get(self, clone_url: str, ref: str) -> _Answer | None:
        answer = self._kept.get((clone_url, ref))
        return answer if answer and time.monotonic() - answer.at < _KEPT_SECONDS else None

    def keep(self, clone_url: str, ref: str, sha: str | None) -> _Answer:
        answer = self._kept[clone_url, ref] = _Answer(sha, time.monotonic())
        self._kept.move_to_end((clone_url, ref))
        while len(self._kept) > _KEPT_ANSWERS:
            self._kept.popitem(last=False)
        return answer


async def _stored_sha(session: AsyncSession, repository: Repository, ref: str) -> str | None:
    """Return what a ref is as far as the store knows: a sha is itself, a branch that is kept live has a head.

    Where the head is not to be built, the branch stands for its last commit that can be opened.
    """
    if is_sha(ref):
        return ref
    branch = await branch_of(session, repository, ref)
    good = await last_good_build(session, branch) if branch and branch.held else None
    return good.sha if good else branch.head_sha if branch else None


async def _may_be_forks(session: AsyncSession, repository: Repository, ref: str) -> bool:
    """Whether a ref may be a commit of a fork, that nobody approved: a branch or tag is the repository's own.

    Where the App is not installed, no commit has more rights than others: a fork's is built as if its own repository
    had been named.
    """
    if repository.installation_id is None or not is_sha(ref):
        return False
    return not await is_own_commit(session, repository_id=repository.id, sha=ref)


async def stored_at(session: AsyncSession, place: Place) -> Repository | None:
    """Return the row of the repository at a place, whoever may see it."""
    return await find_repository(session, host=place.host, owner=place.owner, name=place.name, is_exact=place.is_exact)


def _not_found(link: Link) -> str:
    provider = PROVIDERS[link.provider]
    if not provider.has_refs:
        return f"There is no record {link.full_name} {provider.on_it}. Please check the spelling."
    more = "" if link.provider != "git" else " Some servers want “.git” at the end of the address."
    return (
        f"There is no repository {link.full_name} {provider.on_it} that you may see, or it has no branch, tag or "
        f"commit {link.ref!r}. Please check the spelling.{more}"
    )
