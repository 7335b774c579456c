"""`local/preview/NAME/REF`: what `binder preview` built on this machine. No link makes such a row."""

from binder.settings import Settings
from proxy.providers.github import split_at_slashes
from proxy.providers.interface import Named, Place

HOST = "local"


class Local:
    """This machine."""

    id = "local"
    title = "built on this machine"
    on_it = "on this machine"
    label = "Name of a preview"
    placeholder = "preview/NAME"
    pattern = "[^/]+/[^/]+/.+"
    detects = ""
    has_refs = True

    def split(self, spec: str) -> tuple[Named, str]:
        """Return owner and name, and what follows them."""
        return split_at_slashes(spec, "A link looks like /v2/local/preview/NAME/REF.")

    def spec_of(self, named: Named) -> str:
        """Return `preview/NAME`."""
        return f"{named.owner}/{named.name}"

    def place(self, named: Named, settings: Settings) -> Place:
        """Return the row's place, which has no address that a link could know."""
        return Place(HOST, named.owner, named.name, "")

    def has(self, host: str) -> bool:
        """Whether it is this machine."""
        return host == HOST

    def named_as(self, host: str, owner: str, name: str) -> Named:
        """Return owner and name."""
        return Named(owner, name)

    def commit_page(self, place: Place, sha: str) -> str:
        """Return nothing: a folder of this machine is nobody's business."""
        return ""
