"""Where repositories are fetched from, and by which right: the one place where git meets GitHub's tokens.

An address of a host that no setting names was given by a visitor: git is sent there only if it is public.
"""

from dataclasses import replace
from typing import Protocol

from binder.errors import RepositoryFault, VisitorFault
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Build, Repository
from build.commits.addresses import public_addresses
from build.commits.git import Git, Source
from build.commits.records import is_record


class Credentials(Protocol):
    """Who gives out tokens for repositories."""

    async def clone_credentials(self, repository: Repository) -> str | None:
        """Return a token that can read this repository only, or None where it needs none."""


class RepositorySources:
    """The sources of the repositories in the store; without credentials, only public ones can be fetched."""

    def __init__(self, credentials: Credentials | None, settings: Settings) -> None:
        self._credentials = credentials
        self._settings = settings

    async def source_of(self, repository: Repository) -> Source:
        """Return where a repository is fetched from.

        Raises: VisitorFault, where it is at a host to which nobody is sent.
        """
        if repository.clone_url.startswith("file://"):
            # Only `binder preview` writes such an address: no link and no delivery can.
            return Source(repository.clone_url, local=True)
        token = None
        if self._credentials and repository.installation_id is not None:
            token = await self._credentials.clone_credentials(repository)
        return await _checked(Source(repository.clone_url, token), self._settings)


class PublicRefs:
    """Asks git servers for refs, with nobody's rights: what a link may name."""

    def __init__(self, git: Git, settings: Settings) -> None:
        self._git = git
        self._settings = settings

    async def resolve(self, clone_url: str, ref: str) -> str | None:
        """Return the sha of a ref, or None where there is no such ref or repository.

        Raises: VisitorFault, where the address is of a host to which nobody is sent; WorldFault.
        """
        source = await _checked(Source(clone_url), self._settings)
        try:
            return await self._git.resolve(source, ref)
        except VisitorFault:
            return None


class CommittedFiles:
    """What is committed, as git says it: for whoever has to know better than the session that runs it."""

    def __init__(self, store: Store, git: Git, sources: RepositorySources) -> None:
        self._store = store
        self._git = git
        self._sources = sources

    async def read(self, build: Build, path: str) -> bytes:
        """Return a file of a build's commit.

        Raises: RepositoryFault, where there is none; WorldFault.
        """
        async with self._store.read() as session:
            repository = await session.get_one(Repository, build.repository_id)
        source = replace(await self._sources.source_of(repository), trusted=not build.untrusted)
        commit = await self._git.fetch(source, build.sha)
        if path not in commit.files:
            raise RepositoryFault(f"There is no {path} in the commit.", file=path)
        return await self._git.read(source, commit, path)


async def _checked(source: Source, settings: Settings) -> Source:
    """Return a source as git may be sent there; a record's hosts are checked as they are asked (`Downloads`)."""
    if is_record(source.url):
        return source
    host = source.origin.partition("://")[2]
    known = (settings.github_url, settings.gists_url, settings.gitlab_url)
    if host in settings.git_hosts or any(source.url.startswith(f"{url}/") for url in known):
        return source
    return replace(source, addresses=await public_addresses(source.url))
