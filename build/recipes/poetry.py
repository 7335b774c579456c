"""What Poetry's lock says, and what its part of pyproject.toml asks for.

Source: https://python-poetry.org/docs/pyproject/
"""

import re
from collections.abc import Iterator, Mapping

from packaging.utils import canonicalize_name

from build.recipes.pins import Need, Package, Pins, either, place_in
from build.recipes.projects import Manifest
from build.recipes.reading import LARGEST_LOCK_BYTES, Reading, rows, table, word, words
from build.recipes.runtime import Requires

POETRY_LOCK = "poetry.lock"
_RANGE = re.compile(r"\A([\^~])\s*([0-9]{1,3})(?:\.([0-9]{1,3}))?(?:\.[0-9]{1,4})?\Z")
_BARE = re.compile(r"\A[0-9]+(?:\.[0-9*]+)*\Z")
_NAMED = re.compile(r"\A([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[([^\]]*)\])?")


def poetry_pins(reading: Reading, path: str) -> Pins:
    """Read a poetry.lock.

    Raises: NotReadYet; RepositoryFault.
    """
    data = reading.toml(path, LARGEST_LOCK_BYTES)
    return Pins(path, tuple(_package(path, row) for row in rows(data.get("package"))))


def poetry_needs(manifest: Manifest) -> Iterator[Need]:
    """Give what Poetry's part of a manifest asks for: the project's own, and all groups that are not optional."""
    poetry = table(table(manifest.data.get("tool")).get("poetry"))
    sections = [poetry.get("dependencies"), poetry.get("dev-dependencies")]
    groups = [table(group) for group in table(poetry.get("group")).values()]
    sections += [group.get("dependencies") for group in groups if group.get("optional") is not True]
    for section in sections:
        for name, wanted in table(section).items():
            if canonicalize_name(name) != "python":
                yield from _wanted(canonicalize_name(name), wanted)


def poetry_requires(manifest: Manifest) -> tuple[Requires, ...]:
    """Return the Pythons that Poetry's part of a manifest allows, where that is one range."""
    said = table(table(table(manifest.data.get("tool")).get("poetry")).get("dependencies")).get("python")
    specifier = _specifier(word(said) or "*")
    return (Requires(specifier, manifest.path, manifest.lines.get("python")),) if specifier else ()


def installs_itself(manifest: Manifest, files: Mapping[str, object]) -> bool:
    """Whether Poetry would install the project, and not its dependencies alone: there must be something to install."""
    poetry = table(table(manifest.data.get("tool")).get("poetry"))
    if "build-system" not in manifest.data or poetry.get("package-mode") is False:
        return False
    module = (manifest.name or canonicalize_name(word(poetry.get("name")) or "")).replace("-", "_")
    found = (f"{folder}{module}{end}" for folder in ("", "src/") for end in ("/__init__.py", ".py"))
    return bool(module) and ("packages" in poetry or any(path in files for path in found))


def _package(path: str, row: Mapping[str, object]) -> Package:
    source = table(row.get("source"))
    kind, url = word(source.get("type")), word(source.get("url")) or ""
    folder, commit = word(source.get("subdirectory")), word(source.get("resolved_reference"))
    commit_of = f"git+{url}" + (f"@{commit}" if commit else "") + (f"#subdirectory={folder}" if folder else "")
    addresses = {"git": commit_of, "url": url}
    markers = row.get("markers")
    each = [marker for marker in table(markers).values() if isinstance(marker, str)]
    return Package(
        canonicalize_name(word(row.get("name")) or ""),
        word(row.get("version")),
        word(markers) or either(each),
        addresses.get(kind or ""),
        place_in(path, url) if kind in {"directory", "file"} else None,
        editable=row.get("develop") is True,
        index=url if kind == "legacy" else None,
        needs=_needs(row),
    )


def _needs(row: Mapping[str, object]) -> dict[str, tuple[Need, ...]]:
    always = (
        need
        for name, wanted in table(row.get("dependencies")).items()
        for need in _wanted(canonicalize_name(name), wanted)
    )
    extras = table(row.get("extras"))
    return {"": tuple(always)} | {canonicalize_name(extra): _listed(words(listed)) for extra, listed in extras.items()}


def _listed(listed: tuple[str, ...]) -> tuple[Need, ...]:
    """Return what an extra needs: `["numpy (>=1.2)", "pandas[excel]"]`."""
    found = [name for said in listed if (name := _NAMED.match(said))]
    return tuple(Need(canonicalize_name(name[1]), _extras(name[2].split(",") if name[2] else ())) for name in found)


def _wanted(name: str, wanted: object) -> Iterator[Need]:
    """Give what an entry asks for: a version, a table, or a list of tables for several conditions."""
    for entry in wanted if isinstance(wanted, list) else [wanted]:
        said = table(entry)
        if said.get("optional") is not True:
            yield Need(name, _extras(words(said.get("extras"))), word(said.get("markers")))


def _extras(names: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(sorted({canonicalize_name(name.strip()) for name in names if name.strip()}))


def _specifier(said: str) -> str | None:
    """Return a specifier as PEP 440 has it; None for any version, and for several ranges."""
    said = said.strip()
    if said == "*" or "|" in said:
        return None
    if bounds := _RANGE.match(said):
        sign, major, minor = bounds.groups()
        above = f"{major}.{int(minor) + 1}" if sign == "~" and minor else f"{int(major) + 1}"
        return f">={said[1:].strip()},<{above}"
    return f"=={said}" if _BARE.match(said) else said
