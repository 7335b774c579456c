"""Lists the packages that an image holds, by what their installers wrote down: nothing that is installed is run.

Run inside the image as `/usr/bin/python3 -I -S inventory.py [FOLDER …]`: the folders are those of which each folder is
an environment (`/opt/binder`). Prints a line that says that the list follows, then one JSON array for each package.
"""

from __future__ import annotations  # the Python of an older Debian runs it too

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_LARGEST_FILE_BYTES = 2**18
_LARGEST_LIST_BYTES = 2**26

_Found = Iterator["tuple[str, str | None, str | None]"]
"""Packages: type, name, version."""


def _head(path: Path, most_bytes: int = _LARGEST_FILE_BYTES) -> str:
    try:
        with path.open("rb") as file:
            return file.read(most_bytes).decode(errors="replace")
    except OSError:
        return ""


def _fields(text: str) -> dict[str, str]:
    """Return the fields of a stanza; what goes on in a line that begins with a space is left out."""
    pairs = (line.partition(":") for line in text.splitlines() if line[:1] not in {" ", "\t"})
    return {name.lower(): value.strip() for name, colon, value in pairs if colon}


def _debian() -> _Found:
    for stanza in _head(Path("/var/lib/dpkg/status"), _LARGEST_LIST_BYTES).split("\n\n"):
        fields = _fields(stanza)
        if fields.get("status", "").endswith(" installed"):
            yield "deb", fields.get("package"), fields.get("version")


def _python(environment: Path) -> _Found:
    for pattern in ("*.dist-info/METADATA", "*.egg-info/PKG-INFO"):
        for path in environment.glob("lib/python3*/site-packages/" + pattern):
            if _head(path.parent / "INSTALLER").strip() != "conda":  # Conda's own list has it
                fields = _fields(_head(path).partition("\n\n")[0])
                yield "pypi", re.sub(r"[-_.]+", "-", fields.get("name", "")).lower(), fields.get("version")


def _conda(environment: Path) -> _Found:
    for path in environment.glob("conda-meta/*.json"):
        try:
            record = json.loads(_head(path, _LARGEST_LIST_BYTES))
            name, version = record["name"], record["version"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(name, str) and isinstance(version, str):
            yield "conda", name, version


def _r(environment: Path) -> _Found:
    # A library of R's own making, and the one inside of a Conda environment.
    for pattern in ("*/DESCRIPTION", "lib/R/library/*/DESCRIPTION"):
        for path in environment.glob(pattern):
            fields = _fields(_head(path))
            if fields.get("priority") != "base":  # those are R itself
                yield "cran", fields.get("package"), fields.get("version")


def _packages(folders: Iterable[Path]) -> _Found:
    yield from _debian()
    for folder in folders:
        for environment in sorted(path for path in folder.glob("*") if path.is_dir()):
            conda = set(_conda(environment))
            yield from conda
            yield from _python(environment)
            if not conda:
                yield from _r(environment)


print("--- inventory ---")
for package in sorted({one for one in _packages([Path(name) for name in sys.argv[1:] or ["/opt/binder"]]) if all(one)}):
    print(json.dumps(package))
