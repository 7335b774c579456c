"""`gl/NAMESPACE%2FPROJECT/REF`: projects of one GitLab, in groups that may lie in each other."""

import re
from urllib.parse import quote, unquote, urlsplit

from binder.errors import VisitorFault
from binder.settings import Settings
from proxy.providers.interface import LONGEST_NAME, Named, Place, shown, without_git

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PREFIX = "gl:"
_FORM = "A link looks like /v2/gl/NAMESPACE%2FPROJECT/REF, with %2F for each slash in the project's path."


class GitLab:
    """GitLab."""

    id = "gl"
    title = "GitLab"
    on_it = "on GitLab"
    label = "GitLab repository name or URL"
    placeholder = "NAMESPACE/PROJECT"
    pattern = "[^/]+/.+"
    detects = "^(https?://gitlab.com/)(?<repo>.*[^/])/?$"
    has_refs = True

    def split(self, spec: str) -> tuple[Named, str]:
        """Return namespace and project, and what follows them; where no slash is encoded, the first two parts."""
        project, _, ref = spec.strip("/").partition("/")
        project = unquote(project).strip("/")
        if "/" not in project and "/" in ref:
            second, _, ref = ref.partition("/")
            project = f"{project}/{unquote(second)}"
        owner, _, name = project.removesuffix(".git").rpartition("/")
        if not all(_SEGMENT.fullmatch(part) for part in (*owner.split("/"), name)):
            raise VisitorFault(f"No project can be called {shown(project)}. {_FORM}")
        if max(len(owner), len(name)) > LONGEST_NAME:
            raise VisitorFault(f"The project's path is longer than {LONGEST_NAME} characters.")
        return Named(owner, name), unquote(ref)

    def spec_of(self, named: Named) -> str:
        """Return `NAMESPACE%2FPROJECT`."""
        return quote(f"{named.owner}/{named.name}", safe="")

    def place(self, named: Named, settings: Settings) -> Place:
        """Return the project's place at `settings.gitlab_url`."""
        host = f"{_PREFIX}{urlsplit(settings.gitlab_url).netloc}"
        return Place(host, named.owner, named.name, f"{settings.gitlab_url}/{named.owner}/{named.name}.git")

    def has(self, host: str) -> bool:
        """Whether a row is a project of GitLab's."""
        return host.startswith(_PREFIX)

    def named_as(self, host: str, owner: str, name: str) -> Named:
        """Return namespace and project."""
        return Named(owner, name)

    def commit_page(self, place: Place, sha: str) -> str:
        """Return the commit's files on GitLab."""
        return f"{without_git(place.clone_url)}/-/tree/{sha}"
