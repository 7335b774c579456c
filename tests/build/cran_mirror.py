"""A small archive of R's packages, as CRAN is laid out, with one package in it that needs no compiler."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

_DESCRIPTION = """\
Package: {name}
Version: {version}
Title: A Tiny Package
Description: It knows one number.
Author: Ada
Maintainer: Ada <ada@example.org>
License: BSD_3_clause
"""


def r_package(name: str, version: str, code: str, more: str = "") -> dict[str, str]:
    """Return the files of a package of R: path → text; `more` are lines of its DESCRIPTION."""
    return {
        "DESCRIPTION": _DESCRIPTION.format(name=name, version=version) + more,
        "NAMESPACE": 'exportPattern("^[[:alpha:]]")\n',
        f"R/{name}.R": code,
    }


def write_archive(folder: Path, packages: Mapping[str, str]) -> None:
    """Write an archive of packages, name → code, all of version 1.0."""
    contrib = folder / "src/contrib"
    contrib.mkdir(parents=True)
    listing = ""
    for name, code in packages.items():
        files = r_package(name, "1.0", code)
        (contrib / f"{name}_1.0.tar.gz").write_bytes(_archive(name, files))
        listing += f"Package: {name}\nVersion: 1.0\nLicense: BSD_3_clause\nNeedsCompilation: no\n\n"
    (contrib / "PACKAGES").write_text(listing)


def _archive(name: str, files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}/{path}")
            data = text.encode()
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
