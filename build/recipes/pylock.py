"""What a pylock.toml says: a lock that is no tool's own.

Source: https://packaging.python.org/en/latest/specifications/pylock-toml/
"""

import re
from collections.abc import Mapping

from packaging.utils import canonicalize_name

from binder.errors import RepositoryFault
from build.recipes.pins import Package, Pins, place_in
from build.recipes.reading import LARGEST_LOCK_BYTES, Reading, rows, table, word, words
from build.recipes.runtime import Requires

PYLOCK = "pylock.toml"
# What a marker may ask besides the environment: which extras and groups are wanted.
_CHOSEN = re.compile(r"""(["'])([\w.-]{1,200}+)\1\s{1,20}(not\s{1,20})?in\s{1,20}(extras|dependency_groups)\b""")
_YES, _NO = "python_version >= '0'", "python_version < '0'"


def pylock_pins(reading: Reading, path: str) -> Pins:
    """Read a pylock.toml.

    Raises: NotReadYet; RepositoryFault.
    """
    data = reading.toml(path, LARGEST_LOCK_BYTES)
    if not (word(data.get("lock-version")) or "").startswith("1."):
        raise RepositoryFault(f"{path} is of a version that is not known here. Version 1.0 is.", file=path)
    python = word(data.get("requires-python"))
    groups: set[str] = {canonicalize_name(group) for group in words(data.get("default-groups"))}
    packages = tuple(_package(path, row, groups) for row in rows(data.get("packages")))
    return Pins(path, packages, (Requires(python, path, None),) if python else ())


def _package(path: str, row: Mapping[str, object], groups: set[str]) -> Package:
    marker, directory, archive = word(row.get("marker")), table(row.get("directory")), table(row.get("archive"))
    wheels = rows(row.get("wheels"))
    local = word(directory.get("path")) or word(archive.get("path"))
    if local is None and not archive and not row.get("index"):
        paths = (word(file.get("path")) for file in [*wheels, table(row.get("sdist"))] if not file.get("url"))
        local = next(filter(None, paths), None)
    return Package(
        canonicalize_name(word(row.get("name")) or ""),
        word(row.get("version")),
        marker and _of_environment(marker, groups),
        _vcs(table(row.get("vcs"))) or _with_folder(word(archive.get("url")), archive),
        place_in(path, local) if local else None,
        editable=directory.get("editable") is True,
        index=word(row.get("index")),
    )


def _vcs(vcs: Mapping[str, object]) -> str | None:
    kind, url, commit = word(vcs.get("type")), word(vcs.get("url")), word(vcs.get("commit-id"))
    return _with_folder(f"{kind}+{url}@{commit}", vcs) if kind and url and commit else None


def _with_folder(url: str | None, source: Mapping[str, object]) -> str | None:
    folder = word(source.get("subdirectory"))
    return f"{url}#subdirectory={folder}" if url and folder else url


def _of_environment(marker: str, groups: set[str]) -> str:
    """Return a marker that asks only for the environment: no extra is wanted, and the default groups are."""

    def chosen(found: re.Match[str]) -> str:
        is_wanted = found[4] == "dependency_groups" and canonicalize_name(found[2]) in groups
        return _YES if is_wanted != bool(found[3]) else _NO

    return _CHOSEN.sub(chosen, marker)
