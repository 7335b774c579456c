"""`gist/USER/ID[/REF]`: GitHub's gists. Whose a gist is nobody asks: the id alone says which it is."""

import re

from binder.errors import VisitorFault
from binder.settings import Settings
from proxy.providers.github import split_at_slashes
from proxy.providers.interface import Named, Place, shown, without_git

_ID = re.compile(r"[0-9a-f]{1,40}")
_PREFIX = "gist:"
_FORM = "A link looks like /v2/gist/USER/ID/REF."


class Gists:
    """GitHub's gists."""

    id = "gist"
    title = "Gist"
    on_it = "among GitHub's gists"
    label = "Gist ID (username/gistId) or URL"
    placeholder = "USER/ID"
    pattern = "[^/]+/[^/]+(/[^/]+)?"
    detects = "^(https?://gist.github.com/)(?<repo>.*[^/])/?$"
    has_refs = True

    def split(self, spec: str) -> tuple[Named, str]:
        """Return user and id, and what follows them."""
        named, ref = split_at_slashes(spec, _FORM)
        if not _ID.fullmatch(named.name):
            raise VisitorFault(f"No gist has the id {shown(named.name)}. {_FORM}")
        return named, ref

    def spec_of(self, named: Named) -> str:
        """Return `USER/ID`."""
        return f"{named.owner}/{named.name}"

    def place(self, named: Named, settings: Settings) -> Place:
        """Return the gist's place."""
        clone_url = f"{settings.gists_url}/{named.name}.git"
        return Place(f"{_PREFIX}{settings.github_host}", named.owner, named.name, clone_url)

    def has(self, host: str) -> bool:
        """Whether a row is a gist."""
        return host.startswith(_PREFIX)

    def named_as(self, host: str, owner: str, name: str) -> Named:
        """Return user and id."""
        return Named(owner, name)

    def commit_page(self, place: Place, sha: str) -> str:
        """Return the gist as it was at a commit."""
        return f"{without_git(place.clone_url)}/{sha}"
