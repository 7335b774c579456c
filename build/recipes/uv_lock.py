"""What a uv.lock says.

Source: https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile
"""

from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit, urlunsplit

from packaging.utils import canonicalize_name

from binder.errors import RepositoryFault
from build.recipes.pins import Need, Package, Pins, either, place_in
from build.recipes.reading import LARGEST_LOCK_BYTES, Reading, rows, table, word, words
from build.recipes.runtime import Requires

UV_LOCK = "uv.lock"


def uv_pins(reading: Reading, path: str) -> Pins:
    """Read a uv.lock.

    Raises: NotReadYet; RepositoryFault.
    """
    data = reading.toml(path, LARGEST_LOCK_BYTES)
    if data.get("version") != 1:
        raise RepositoryFault(f"{path} is of a version that is not known here. Version 1 is.", file=path)
    python = word(data.get("requires-python"))
    requires = (Requires(python, path, None),) if python else ()
    return Pins(path, tuple(_package(path, row) for row in rows(data.get("package"))), requires)


def _package(path: str, row: Mapping[str, object]) -> Package:
    source = table(row.get("source"))
    folder = next((kind for kind in ("editable", "virtual", "directory", "path") if kind in source), None)
    index = word(source.get("registry"))
    return Package(
        canonicalize_name(word(row.get("name")) or ""),
        word(row.get("version")),
        either(words(row.get("resolution-markers"))),
        _git(path, word(source.get("git"))) or _url(source),
        place_in(path, word(source[folder]) or "") if folder else None,
        editable=folder == "editable",
        virtual=folder == "virtual",
        index=index,
        needs=_needs(row),
    )


def _needs(row: Mapping[str, object]) -> dict[str, tuple[Need, ...]]:
    optional = table(row.get("optional-dependencies"))
    return {"": _listed(row.get("dependencies"))} | {
        canonicalize_name(extra): _listed(listed) for extra, listed in optional.items()
    }


def _listed(listed: object) -> tuple[Need, ...]:
    return tuple(
        Need(
            canonicalize_name(word(row.get("name")) or ""),
            tuple(canonicalize_name(extra) for extra in words(row.get("extra"))),
            word(row.get("marker")),
        )
        for row in rows(listed)
    )


def _url(source: Mapping[str, object]) -> str | None:
    url, folder = word(source.get("url")), word(source.get("subdirectory"))
    return f"{url}#subdirectory={folder}" if url and folder else url


def _git(path: str, said: str | None) -> str | None:
    """Return the address of a commit; uv writes `https://…?rev=main&subdirectory=x#<commit>`."""
    if said is None:
        return None
    try:
        parts = urlsplit(said)
        folder = parse_qs(parts.query).get("subdirectory", [""])[0]
    except ValueError:
        raise RepositoryFault(f"{path} has an address that is none: {said[:80]!r}.", file=path) from None
    where = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    return f"git+{where}@{parts.fragment}" + (f"#subdirectory={folder}" if folder else "")
