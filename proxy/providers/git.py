"""`git/URL/REF`: any git server, by the address of the repository, percent-encoded.

A visitor names the address: it is HTTPS's, unless the operator lists its host, without a name or password, and plain.
That a host is none of this machine's own network is looked up and checked where git is run.
"""

import re
from dataclasses import replace
from urllib.parse import quote, unquote, urlsplit

from binder.errors import VisitorFault
from binder.settings import Settings
from proxy.providers.github import GitHub
from proxy.providers.gitlab import GitLab
from proxy.providers.interface import LONGEST_NAME, Named, Place, shown, without_git

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_SEGMENT = re.compile(r"[A-Za-z0-9._~+@-]+")
_LONGEST_HOST = 200
_DEFAULT_PORTS = {"https": 443, "http": 80}
_FORM = "A link looks like /v2/git/URL/REF, where URL is percent-encoded: https%3A%2F%2Fgit.example.org%2Frepository."


class Git:
    """Any git server."""

    id = "git"
    title = "Git repository"
    on_it = "there"
    label = "Arbitrary git repository URL"
    placeholder = "https://git.example.org/repository"
    pattern = "[^/]+/.+"
    detects = ""
    has_refs = True

    def split(self, spec: str) -> tuple[Named, str]:
        """Return the repository of an address, and what follows it."""
        address, _, ref = spec.strip("/").partition("/")
        return repository_at(unquote(address)), unquote(ref)

    def spec_of(self, named: Named) -> str:
        """Return the percent-encoded address."""
        return quote(_address(named), safe="")

    def place(self, named: Named, settings: Settings) -> Place:
        """Return the repository's place; where another provider has it, that one's: it is one repository.

        Raises: VisitorFault, where this service does not go there.
        """
        if named.origin == settings.github_url:
            return GitHub().place(_without_suffix(named), settings)
        if named.origin == settings.gitlab_url:
            return GitLab().place(_without_suffix(named), settings)
        check_host(named.origin, settings)
        return Place(named.origin, named.owner, named.name, _address(named), is_exact=True)

    def has(self, host: str) -> bool:
        """Whether a row's host is an origin."""
        return host.startswith(tuple(f"{scheme}://" for scheme in _DEFAULT_PORTS))

    def named_as(self, host: str, owner: str, name: str) -> Named:
        """Return the repository at the row's origin."""
        return Named(owner, name, host)

    def commit_page(self, place: Place, sha: str) -> str:
        """Return the repository's own page: where its commits are, nobody can tell."""
        return without_git(place.clone_url)


def check_host(origin: str, settings: Settings) -> None:
    """Refuse a host that a visitor named, where the operator leaves that out.

    Raises: VisitorFault.
    """
    scheme, _, host = origin.partition("://")
    if settings.git_hosts and host not in settings.git_hosts:
        raise VisitorFault(f"This service opens no repositories of {host}. Its operator says of which hosts it does.")
    if scheme != "https" and host not in settings.git_hosts:
        raise VisitorFault(f"The address of the repository must begin with https://, not {scheme}://.")


def repository_at(address: str) -> Named:
    """Return the repository of an address.

    Raises: VisitorFault, saying what is wrong with it.
    """
    try:
        # It takes line ends and tabs out of what it is given.
        parts = urlsplit(address if address.isprintable() else "")
        port = parts.port
    except ValueError as error:
        raise VisitorFault(f"{shown(address)} is no address of a repository. {_FORM}") from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.netloc:
        raise VisitorFault(f"The address of a repository begins with https://, unlike {shown(address)}. {_FORM}")
    if "@" in parts.netloc:
        raise VisitorFault("The address of a repository must hold no name or password: everybody would see it.")
    host = (parts.hostname or "").lower()
    if not _HOST.fullmatch(host) or len(host) > _LONGEST_HOST or port == 0:
        raise VisitorFault(f"{shown(parts.netloc)} is no host's name. {_FORM}")
    if parts.query or parts.fragment or "?" in address or "#" in address:
        raise VisitorFault("The address of a repository ends with its path, without “?” or “#”.")
    segments = parts.path.strip("/").split("/")
    if not all(_SEGMENT.fullmatch(part) and part not in {".", ".."} for part in segments):
        raise VisitorFault(f"{shown(parts.path)} is no path of a repository. {_FORM}")
    owner, name = "/".join(segments[:-1]), segments[-1]
    if max(len(owner), len(name)) > LONGEST_NAME:
        raise VisitorFault(f"The repository's path is longer than {LONGEST_NAME} characters.")
    is_usual = port in {None, _DEFAULT_PORTS[parts.scheme]}
    return Named(owner, name, f"{parts.scheme}://{host}" + ("" if is_usual else f":{port}"))


def _without_suffix(named: Named) -> Named:
    return replace(named, name=named.name.removesuffix(".git") or named.name)


def _address(named: Named) -> str:
    return "/".join(part for part in (named.origin, named.owner, named.name) if part)
