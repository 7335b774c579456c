"""The grammar of links: what `/v2/<provider>/<spec>?…` asks for, and where in a session it lands.

Pure. Guarantee: whatever a query holds, `session_address` stays below the session's own path, also after a browser has
normalized it. What a specification means is its provider's (`proxy.providers`); whether the repository and the ref
exist is `proxy.commits`' question.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import quote, unquote, urlencode, urlsplit

from binder.errors import VisitorFault
from binder.names import is_ref
from proxy.providers import FORM, PROVIDERS, Named, Provider, provider_called, shown

LandingKind = Literal["labpath", "filepath", "urlpath"]

# In the order in which the first one that is given wins.
_LANDINGS: Final[tuple[tuple[LandingKind, str], ...]] = (
    ("labpath", "doc/tree/"),
    ("filepath", "tree/"),
    ("urlpath", ""),
)
_LONGEST_LANDING = 2000


@dataclass(frozen=True)
class Link:
    """What a link asks for. `landing` is where in the session it goes: a relative address, ready for a URL."""

    provider: str
    named: Named
    ref: str = "HEAD"
    asked: tuple[LandingKind, str] | None = None
    landing: str = ""

    @property
    def full_name(self) -> str:
        """What people call the repository: `owner/name`."""
        return self.named.full_name

    @property
    def address(self) -> str:
        """The link itself, without a host."""
        query = f"?{urlencode([self.asked], quote_via=quote)}" if self.asked else ""
        return f"/{self.request}{query}"

    @property
    def request(self) -> str:
        """What is to be opened, whatever is shown of it then: `v2/gh/OWNER/NAME/REF`."""
        is_plain = self.ref == "HEAD" and not PROVIDERS[self.provider].has_refs
        return f"v2/{self.repository}" + ("" if is_plain else f"/{quote(self.ref)}")

    @property
    def repository(self) -> str:
        """What names the repository in all addresses here: `gh/OWNER/NAME`."""
        return f"{self.provider}/{PROVIDERS[self.provider].spec_of(self.named)}"

    def at(self, sha: str) -> "Link":
        """Return the link to one commit of the same repository."""
        return replace(self, ref=sha)


def parse_link(provider: str, spec: str, query: Mapping[str, str]) -> Link:
    """Return what a link asks for; `spec` is what follows the provider, percent-encoded as it stands there.

    Raises: VisitorFault, saying what is wrong with it.
    """
    known = provider_called(provider)
    named, ref = known.split(spec)
    return link_to(known.id, named, ref, query)


def link_to(provider: str, named: Named, ref: str, query: Mapping[str, str]) -> Link:
    """Return a link to a repository, at a ref (the default branch where it is empty) and to a place in its session.

    Raises: VisitorFault, where no ref is called so, or the place is outside of a session.
    """
    ref = ref.strip("/") or "HEAD"
    if not is_ref(ref):
        raise VisitorFault(f"No branch, tag or commit can be called {shown(ref)}. {FORM}")
    asked = asked_landing(query)
    return Link(provider, named, ref, asked, landing_of(*asked) if asked else "")


def link_of_request(request_path: bytes, query: Mapping[str, str]) -> Link:
    """Return what the address of a request asks for: `/v2/<provider>/<spec>`, percent-encoded as the visitor sent it.

    An encoded slash belongs to a name, and is no other slash: so the path must not be one that was decoded.
    Raises: VisitorFault, saying what is wrong with it.
    """
    return parse_link(*_provider_and_spec(request_path), query)


def repository_of_request(request_path: bytes) -> tuple[Provider, Named, str]:
    """Return the repository that an address of a page names, and what follows it: `/r/<provider>/<spec>[/…]`.

    Raises: VisitorFault, as `link_of_request`.
    """
    provider, spec = _provider_and_spec(request_path)
    known = provider_called(provider)
    return known, *known.split(spec)


def _provider_and_spec(request_path: bytes) -> tuple[str, str]:
    _, _, provider, spec = (*request_path.decode(errors="replace").split("/", 3), "", "", "")[:4]
    return provider, spec


def asked_landing(query: Mapping[str, str]) -> tuple[LandingKind, str] | None:
    """Return the parameter of a query that says where to go, and its value: the first of those that are given."""
    return next(((kind, query[kind]) for kind, _ in _LANDINGS if query.get(kind)), None)


def landing_of(kind: LandingKind, value: str) -> str:
    """Return where in a session `value` leads.

    Raises: VisitorFault, where it would lead outside.
    """
    if len(value) > _LONGEST_LANDING:
        raise VisitorFault(f"The link's {kind} is longer than {_LONGEST_LANDING} characters.")
    before = dict(_LANDINGS)[kind]
    if kind != "urlpath":
        return before + quote("/".join(_segments(kind, value)))
    _refuse_controls(kind, value)
    parts = urlsplit(value)
    if parts.scheme or parts.netloc:
        raise VisitorFault("The link's urlpath must be a path inside the session, not another site's address.")
    # A path may come percent-encoded: it is judged as a browser would read it, then encoded anew.
    path = quote("/".join(_segments(kind, unquote(parts.path))))
    slash = "/" if path and parts.path.endswith("/") else ""
    query = f"?{quote(parts.query, safe=_IN_QUERY)}" if parts.query else ""
    fragment = f"#{quote(parts.fragment, safe=_IN_QUERY)}" if parts.fragment else ""
    return path + slash + query + fragment


def session_address(session_id: str, landing: str = "") -> str:
    """Return a session's address, without a host."""
    return f"/s/{session_id}/{landing}"


def legacy_address(owner: str, name: str, path: str) -> str:
    """Return today's link for one of the form `/repo/<owner>/<name>[/path]`."""
    link = parse_link("gh", quote(f"{owner}/{name}/master"), {"urlpath": path.strip("/")})
    return link.address


# What RFC 3986 allows in a query, and % because the value is encoded already where it needs to be.
_IN_QUERY = "%/?:@!$&'()*+,;=-._~"


def _segments(kind: LandingKind, path: str) -> list[str]:
    _refuse_controls(kind, path)
    segments = [segment for segment in path.split("/") if segment not in {"", "."}]
    if ".." in segments or "\\" in path:
        raise VisitorFault(f"The link's {kind} leads outside of the session.")
    return segments


def _refuse_controls(kind: LandingKind, text: str) -> None:
    if any(character < " " or character == "\x7f" for character in text):
        raise VisitorFault(f"The link's {kind} holds characters that no path has.")
