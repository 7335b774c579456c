"""What a pixi.lock names for its environment `default`: a pure reading of the file, versions 4 to 7.

Source: https://pixi.sh/latest/workspace/lockfile/
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from binder.hosts import PYPI_FILES
from binder.plain_yaml import Node, Text, line_of, read_yaml, text_at
from build.recipes.conda_files import SUBDIR, CondaPackage, CondaRequest, fault_in

_OLDEST = 4
_MOST_CHARACTERS = 2**22
# Most of a lock is what nothing here asks for, in lines that pixi writes in one way. The lines themselves stay.
_UNUSED = re.compile(
    r"^  (?:(?:depends|constrains|requires_dist|purls|extra_depends):\n(?:  - [^\n]*\n)*"
    r"|(?:md5|license|license_family|timestamp|indexed_timestamp|requires_python|arch|platform): [^\n]*\n)",
    re.MULTILINE,
)
_ARCHIVE = re.compile(r"([A-Za-z0-9_.-]+)-([A-Za-z0-9_.!+]+)-([A-Za-z0-9_.+]+)\.(?:conda|tar\.bz2)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_INDEX_FILES = PYPI_FILES
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[A-Za-z0-9.!+_-]+")

Mapped = Mapping[Text, Node]


def lock_request(path: str, text: str) -> CondaRequest:
    """Return the packages that the environment `default` of a pixi.lock has on our platform.

    Raises: RepositoryFault, with the line.
    """
    shorter = _UNUSED.sub(lambda match: "\n" * match[0].count("\n"), text)
    tree = _mapping(path, read_yaml(path, shorter, most_characters=_MOST_CHARACTERS))
    version = _text(tree, "version")
    if not version or not version.isdecimal() or int(version) < _OLDEST:
        raise fault_in(path, 1, "is of a version that is too old to be read here. Run `pixi lock`, and commit it")
    details = {_place_of(row): row for row in _rows(path, tree.get(Text("packages"), []))}
    conda: list[CondaPackage] = []
    pip: dict[str, int] = {}
    lines: dict[str, int] = {}
    for row in _chosen(path, tree):
        if address := _text(row, "conda"):
            package = _package(path, address, details.get(address, {}))
            conda.append(package)
            lines[package.name] = address.line
        elif place := _text(row, "pypi"):
            pip[_requirement(path, place, details.get(place, {}))] = place.line
        else:
            raise fault_in(
                path,
                next(iter(row)).line if row else None,
                "has a package that is built from source, which is not done here",
            )
    return CondaRequest(
        path=path,
        channels=tuple(dict.fromkeys(package.url.rsplit("/", 2)[0] for package in conda)),
        specs=(),
        pip=tuple(pip),
        lines=lines,
        locked=tuple(conda),
        pip_lines=tuple(pip.values()),
        priority="strict",
    )


def _chosen(path: str, tree: Mapped) -> Iterator[Mapped]:
    """Give the rows of our environment and platform; a platform may have a name of its own."""
    listed = tree.get(Text("platforms"), [])
    ours = [row for row in listed if isinstance(row, dict) and _text(row, "subdir") == SUBDIR]
    names = [SUBDIR, *(_text(row, "name") or "" for row in ours)]
    environment = _mapping(path, _mapping(path, tree.get(Text("environments"), {})).get(Text("default"), {}))
    platforms = _mapping(path, environment.get(Text("packages"), {}))
    found = next((platforms[Text(name)] for name in names if Text(name) in platforms), None)
    if found is None:
        what = f"has no packages for {SUBDIR} in its environment `default`. "
        raise fault_in(path, None, what + f"Run `pixi workspace platform add {SUBDIR}`, and commit it")
    yield from _rows(path, found)


def _place_of(row: Mapped) -> str:
    return _text(row, "conda") or _text(row, "pypi") or _text(row, "url") or _text(row, "path") or ""


def _package(path: str, address: Text, row: Mapped) -> CondaPackage:
    url = urlsplit(address)
    subdir, name = address.split("/")[-2:] if address.count("/") > 3 else ("", "")
    archive, sha256, size = _ARCHIVE.fullmatch(name), _text(row, "sha256"), _text(row, "size")
    if url.scheme not in ("http", "https") or not archive or subdir not in (SUBDIR, "noarch") or url.query:
        raise fault_in(path, address.line, f"names no package of a Conda channel for {SUBDIR}: {address[:200]}")
    if not sha256 or not _SHA256.fullmatch(sha256):
        raise fault_in(path, address.line, f"has no SHA-256 for {name}. Run `pixi lock`, and commit it")
    size_bytes = int(size) if size and size.isdecimal() else None
    return CondaPackage(str(address), str(sha256), archive[1].lower(), archive[2], archive[3], subdir, size_bytes)


def _requirement(path: str, place: Text, row: Mapped) -> str:
    """Return a package of PyPI's as pip writes it: what is on the index by its version, all else by its address."""
    name, version, sha256 = _text(row, "name"), _text(row, "version"), _text(row, "sha256")
    if not place.isprintable() or " " in place:
        raise fault_in(path, place.line, "has an address that is none")
    if "://" not in place:
        local = place if place.startswith((".", "/")) else f"./{place}"
        return f"-e {local}" if _text(row, "editable") == "true" else local
    if not name or not _NAME.fullmatch(name):
        raise fault_in(path, place.line, "has a package without a name")
    if urlsplit(place).hostname == _INDEX_FILES and version and _VERSION.fullmatch(version):
        return f"{name}=={version}"
    is_checked = sha256 and _SHA256.fullmatch(sha256) and "#" not in place and "git+" not in place
    return f"{name} @ {place}{f'#sha256={sha256}' if is_checked else ''}"


def _text(row: Mapped, key: str) -> Text | None:
    value = row.get(Text(key), text_at("", 1))
    return value if isinstance(value, Text) and value else None


def _mapping(path: str, node: Node) -> Mapped:
    if not isinstance(node, dict):
        raise fault_in(path, line_of(node), "is not what pixi writes")
    return node


def _rows(path: str, node: Node) -> Iterator[Mapped]:
    if not isinstance(node, list):
        raise fault_in(path, line_of(node), "is not what pixi writes")
    for row in node:
        yield _mapping(path, row)
