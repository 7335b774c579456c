"""Where repositories are fetched from, and by which right: the one place where git meets GitHub's tokens."""

from typing import Protocol

from binder.errors import VisitorFault
from binder.store.tables import Repository
from build.commits.git import Git, Source


class Credentials(Protocol):
    """Who gives out tokens for repositories."""

    async def clone_credentials(self, repository: Repository) -> str | None:
        """Return a token that can read this repository only, or None where it needs none."""


class RepositorySources:
    """The sources of the repositories in the store; without credentials, only public ones can be fetched."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials

    async def source_of(self, repository: Repository) -> Source:
        """Return where a repository is fetched from."""
        if repository.clone_url.startswith("file://"):
            # Only `binder preview` writes such an address: no link and no delivery can.
            return Source(repository.clone_url, local=True)
        token = None
        if self._credentials and repository.installation_id is not None:
            token = await self._credentials.clone_credentials(repository)
        return Source(repository.clone_url, token)


class PublicRefs:
    """Asks git servers for refs, with nobody's rights: what a link may name."""

    def __init__(self, git: Git) -> None:
        self._git = git

    async def resolve(self, clone_url: str, ref: str) -> str | None:
        """Return the sha of a ref, or None where there is no such ref or repository."""
        try:
            return await self._git.resolve(Source(clone_url), ref)
        except VisitorFault:
            return None
