"""What GitHub publishes about its interface, as files of packages in npm's registry.

Owns fetching them, once, into `.cache/`. What they say is for their readers.
"""

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.npm_packages import CACHE, packed

_CACHE = CACHE / "github-description"


@dataclass(frozen=True)
class PackageFile:
    """One file of a package; `path` is inside of it, and `sha256` is the file's own."""

    package: str
    version: str
    path: str
    sha256: str

    def read(self) -> Any:
        """Return what the JSON file holds.

        Raises: RuntimeError, where it is not the file that we know.
        """
        name = f"{self.package.rpartition('/')[2]}-{self.version}-{self.path.replace('/', '-')}"
        target = _CACHE / name
        if not target.exists():
            self._fetch(target)
        with target.open("rb") as file:
            return json.load(file)

    def _fetch(self, target: Path) -> None:
        """Take the one file out of the package; others may do the same at the same time."""
        with packed(self.package, self.version, _CACHE) as archive:
            with tarfile.open(archive) as opened:
                member = opened.extractfile(f"package/{self.path}")
                content = member.read() if member else b""
            if hashlib.sha256(content).hexdigest() != self.sha256:
                raise RuntimeError(f"{self.package} {self.version} is not what it was when we read it")
            fresh = archive.parent / "fresh.json"
            fresh.write_bytes(content)
            fresh.replace(target)
