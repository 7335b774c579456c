"""What a provider is: the words that links, rows and git have for the same repository."""

from dataclasses import dataclass
from typing import Protocol

from binder.settings import Settings

LONGEST_NAME = 100


@dataclass(frozen=True)
class Named:
    """A repository as a link names it; `owner` may be empty. `origin` is scheme and host, where a link names them."""

    owner: str
    name: str
    origin: str = ""

    @property
    def full_name(self) -> str:
        """What people call it: `owner/name`, behind its host where the link names one."""
        path = f"{self.owner}/{self.name}" if self.owner else self.name
        return f"{self.origin.partition('://')[2]}/{path}" if self.origin else path


@dataclass(frozen=True)
class Place:
    """Where a repository is: `host`, `owner` and `name` are the row's, `clone_url` is git's.

    `is_exact`: two names that differ in case are two repositories.
    """

    host: str
    owner: str
    name: str
    clone_url: str
    is_exact: bool = False


class Provider(Protocol):
    """One kind of places where repositories are. Pure."""

    @property
    def id(self) -> str:
        """The word in links."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def on_it(self) -> str:
        """Where something is that is there, in a sentence: `on GitHub`."""

    @property
    def label(self) -> str:
        """What a form asks for."""

    @property
    def placeholder(self) -> str:
        """What such a form may show as an example."""

    @property
    def has_refs(self) -> bool:
        """Whether there are branches and tags that a link may name; else it leads to the newest version."""

    @property
    def pattern(self) -> str:
        """What a specification, percent-encoded and with its ref, looks like: a regular expression of JavaScript's."""

    @property
    def detects(self) -> str:
        """What an address of a page looks like that is such a repository, its group `repo` being what names it."""

    def split(self, spec: str) -> tuple[Named, str]:
        """Return the repository that a specification names, and the ref, empty where it names none.

        `spec` is percent-encoded, as it stands in the address.
        Raises: VisitorFault, saying what is wrong with it.
        """

    def spec_of(self, named: Named) -> str:
        """Return a specification of the repository, percent-encoded, to which `/REF` may be added."""

    def place(self, named: Named, settings: Settings) -> Place:
        """Return where a repository is.

        Raises: VisitorFault, where this service does not go there.
        """

    def has(self, host: str) -> bool:
        """Whether a row with this host is a repository of this provider's."""

    def named_as(self, host: str, owner: str, name: str) -> Named:
        """Return a row's repository as a link names it."""

    def commit_page(self, place: Place, sha: str) -> str:
        """Return where people find a commit, or nothing where that is nowhere."""


def shown(text: str) -> str:
    """Return what a message may repeat of a visitor's words."""
    return repr(text[:60])


def without_git(clone_url: str) -> str:
    """Return where people find a repository, by where git does."""
    return clone_url.removesuffix(".git")
