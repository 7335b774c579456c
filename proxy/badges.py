"""Makes links and badge texts from what a visitor typed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from binder.errors import VisitorFault
from proxy.links import Link, parse_link
from proxy.providers import provider_called, shown

_PAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "gist": ("https://gist.github.com/", "gist.github.com/"),
    "gl": ("https://gitlab.com/", "gitlab.com/"),
}


@dataclass(frozen=True)
class BadgeTexts:
    """A link, whole, and the badge that leads to it in the languages of README files."""

    link: str
    markdown: str
    rst: str
    html: str


def badge_texts(link: Link, url: str) -> BadgeTexts:
    """Return what to copy; `url` is the service's own address."""
    target, picture = f"{url}{link.address}", f"{url}/badge_logo.svg"
    return BadgeTexts(
        link=target,
        markdown=f"[![Binder]({picture})]({target})",
        rst=f".. image:: {picture}\n   :target: {target}\n   :alt: Binder",
        html=f'<a href="{target}"><img src="{picture}" alt="Binder"></a>'.replace("&", "&amp;"),
    )


def link_of_form(form: Mapping[str, str], github_url: str) -> Link:
    """Return the link that a filled-in form asks for: `provider`, `repository`, `ref`, `path` and `kind`.

    A repository may be given by its name or its address; on GitHub, of any of its pages that shows a branch or a file.

    Raises: VisitorFault, saying what is wrong.
    """
    provider = form.get("provider") or "gh"
    if provider == "gh":
        owner, name, ref, path = _repository_of(form.get("repository", ""), github_url)
        spec = quote(f"{owner}/{name}")
    else:
        spec, ref, path = _spec_elsewhere(provider, form.get("repository", "").strip().strip("/")), "", ""
    ref = form.get("ref", "").strip() or ref or "HEAD"
    known = provider_called(provider)
    if ref != "HEAD" and not known.has_refs:
        raise VisitorFault(f"{known.title} has no branches, tags or commits: leave {shown(ref)} out.")
    path = form.get("path", "").strip() or path
    kind = form.get("kind", "")
    if kind not in {"labpath", "filepath", "urlpath"}:
        kind = "labpath"
    return parse_link(provider, f"{spec}/{quote(ref)}", {kind: path})


def _spec_elsewhere(provider: str, text: str) -> str:
    """Return what names a repository in a link to another provider than GitHub."""
    for prefix in _PAGES.get(provider, ()):
        text = text.removeprefix(prefix)
    return quote(text) if provider == "gist" else quote(text, safe="")


def _repository_of(text: str, github_url: str) -> tuple[str, str, str, str]:
    """Return owner, name, ref and path; the last two may be empty."""
    text = text.strip()
    for prefix in (f"{github_url}/", "https://github.com/", "http://github.com/", "git@github.com:", "github.com/"):
        text = text.removeprefix(prefix)
    parts = text.strip("/").split("/")
    if len(parts) < 2:
        raise VisitorFault("Please give a repository as OWNER/NAME, or the address of its page on GitHub.")
    owner, name, *rest = parts
    match rest:
        case ["tree", *ref]:
            return owner, name, "/".join(ref), ""
        case ["blob", ref, *path]:
            return owner, name, ref, "/".join(path)
        case _:
            return owner, name.removesuffix(".git"), "", ""
