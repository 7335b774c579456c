"""The Debian releases that images are made of: what each brings, and where this host would get its packages from."""

import re
from collections.abc import Mapping

from binder.errors import RepositoryFault

PYTHON_OF_SUITE: Mapping[str, str] = {"bookworm": "3.11", "trixie": "3.13"}
R_OF_SUITE: Mapping[str, str] = {"bookworm": "4.2", "trixie": "4.5"}
SUITE_OF_PYTHON: Mapping[str, str] = {python: suite for suite, python in PYTHON_OF_SUITE.items()}

_FIELD = re.compile(r"^([\w-]+):(.*(?:\n[ \t].*)*)", re.MULTILINE)
_MAJOR_AND_MINOR = re.compile(r"\A\d+(?:\.\d+)?")
_POCKETS = ("", "-updates", "-security")


def suite_for(*, python: str | None, python_from: str | None, r: str | None, r_from: str | None, default: str) -> str:
    """Return the release that has the wanted versions, `default` if it can be; a version is `3`, `3.11` or `3.11.4`.

    None is any version; `…_from` is the file that asks.
    Raises: RepositoryFault, where no release has them, with what there is.
    """
    for language, version, from_, offered in (
        ("R", r, r_from, R_OF_SUITE),
        ("Python", python, python_from, PYTHON_OF_SUITE),
    ):
        if not any(_is(version, has) for has in offered.values()):
            raise RepositoryFault(
                f"{from_} asks for {language} {version}. There is {language} {' and '.join(offered.values())} here.",
                file=from_,
            )
    for suite in dict.fromkeys((default, *PYTHON_OF_SUITE)):
        if _is(python, PYTHON_OF_SUITE.get(suite)) and _is(r, R_OF_SUITE.get(suite)):
            return suite
    pairs = " or ".join(f"R {R_OF_SUITE[suite]} with Python {PYTHON_OF_SUITE[suite]}" for suite in PYTHON_OF_SUITE)
    raise RepositoryFault(f"R {r} and Python {python} are not to be had together. There is {pairs}.", file=r_from)


def _is(wanted: str | None, offered: str | None) -> bool:
    """Whether what is offered is the wanted version, as far as both say; a patch release is never told apart."""
    if wanted is None:
        return True
    named = _MAJOR_AND_MINOR.match(wanted)
    return bool(named and offered and f"{offered}.".startswith(f"{named[0]}."))


def debian_sources(texts: Mapping[str, str], suite: str) -> str:
    """Return the host's apt sources for a Debian release, as one-line entries; `texts` maps a file's name to its text.

    A host whose sources name only other releases has this one on the same mirrors; a host of another kind has none.
    Source: https://manpages.debian.org/bookworm/apt/sources.list.5.en.html
    """
    entries: list[tuple[str, str, str, str]] = []
    for name, text in sorted(texts.items()):
        entries += _deb822_entries(text) if name.endswith(".sources") else _one_line_entries(text)
    for release in dict.fromkeys((suite, *PYTHON_OF_SUITE)):
        pockets = {f"{release}{pocket}": f"{suite}{pocket}" for pocket in _POCKETS}
        lines = [
            f"deb {options}{uri} {pockets[of]} {parts}".rstrip()
            for options, uri, of, parts in entries
            # Who serves one release of something else need not serve another.
            if of in pockets and (release == suite or "main" in parts.split())
        ]
        if lines:
            return "\n".join(dict.fromkeys(lines)) + "\n"
    return ""


def _one_line_entries(text: str) -> list[tuple[str, str, str, str]]:
    pattern = re.compile(r"^deb\s+(\[[^]]*\]\s+)?(\S+)\s+(\S+)\s*(.*?)\s*(?:#.*)?$", re.MULTILINE)
    return [(match[1] or "", match[2], match[3], match[4]) for match in pattern.finditer(text)]


def _deb822_entries(text: str) -> list[tuple[str, str, str, str]]:
    found = []
    for stanza in re.split(r"\n\s*\n", re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)):
        fields = {name.lower(): value.strip() for name, value in _FIELD.findall(stanza)}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
            continue
        options = _one_line_options(fields)
        for uri in fields.get("uris", "").split():
            parts = fields.get("components", "")
            found += [(options, uri, suite, parts) for suite in fields.get("suites", "").split()]
    return found


def _one_line_options(fields: Mapping[str, str]) -> str:
    """Return what makes a source trusted; a key that stands in the file itself has no one-line form."""
    options = []
    if (signed := fields.get("signed-by", "")).startswith("/"):
        options.append(f"signed-by={signed}")
    if (trusted := fields.get("trusted")) in {"yes", "no"}:
        options.append(f"trusted={trusted}")
    return f"[{' '.join(options)}] " if options else ""
