"""`gh/OWNER/REPOSITORY/REF`: GitHub's repositories, or those of the GitHub Enterprise Server that is set."""

from urllib.parse import quote, unquote

from binder.errors import VisitorFault
from binder.names import is_repository
from binder.settings import Settings
from proxy.providers.interface import Named, Place, shown, without_git


class GitHub:
    """GitHub."""

    id = "gh"
    title = "GitHub"
    on_it = "on GitHub"
    label = "GitHub repository name or URL"
    placeholder = "OWNER/REPOSITORY"
    pattern = "[^/]+/[^/]+/.+"
    detects = "^(https?://github.com/)(?<repo>.*[^/])/?$"
    has_refs = True

    def split(self, spec: str) -> tuple[Named, str]:
        """Return owner and name, and what follows them."""
        return split_at_slashes(spec, "A link looks like /v2/gh/OWNER/REPOSITORY/REF.")

    def spec_of(self, named: Named) -> str:
        """Return `OWNER/REPOSITORY`."""
        return quote(f"{named.owner}/{named.name}")

    def place(self, named: Named, settings: Settings) -> Place:
        """Return the repository's place at `settings.github_url`."""
        clone_url = f"{settings.github_url}/{named.owner}/{named.name}.git"
        return Place(settings.github_host, named.owner, named.name, clone_url)

    def has(self, host: str) -> bool:
        """Whether it is a plain host name, which only GitHub's rows have."""
        return "://" not in host and ":" not in host and host != "local"

    def named_as(self, host: str, owner: str, name: str) -> Named:
        """Return owner and name."""
        return Named(owner, name)

    def commit_page(self, place: Place, sha: str) -> str:
        """Return the commit's files on GitHub."""
        return f"{without_git(place.clone_url)}/tree/{sha}"


def split_at_slashes(spec: str, form: str) -> tuple[Named, str]:
    """Return owner, name and ref of `OWNER/NAME[/REF]`, by GitHub's rules for names.

    Raises: VisitorFault.
    """
    owner, name, ref = (*unquote(spec).strip("/").split("/", 2), "", "")[:3]
    if not name:
        raise VisitorFault(f"This link names no repository. {form}")
    if not is_repository(owner, name):
        raise VisitorFault(f"No repository can be called {shown(owner)}/{shown(name)}. {form}")
    return Named(owner, name), ref
