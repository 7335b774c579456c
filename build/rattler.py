"""Brings the library that solves and installs Conda environments to where builds can import it.

It is one binary for every Python from 3.8 on, so that Debian's own can run it in any image.
"""

import asyncio
import importlib.metadata
import importlib.util
import shutil
import tempfile
from pathlib import Path

from binder.errors import OperatorFault
from binder.paths import Paths
from build.buildah import Mount


def write_conda_library(folder: Path) -> None:
    """Copy the library into a folder for its version, which builds have in their PYTHONPATH; all can read it.

    What is there already stays as it is: builds that run have it mounted.
    Raises: OperatorFault.
    """
    copy = folder / "rattler"
    if copy.exists():
        return
    found = importlib.util.find_spec("rattler")
    if found is None or not found.origin:
        raise OperatorFault("py-rattler is not installed beside the service. Run `make set-up`.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            made = Path(work, "rattler")
            shutil.copytree(Path(found.origin).parent, made, ignore=_not_needed)
            _open_to_all(made)
            _move(made, copy)
    except OSError as error:
        raise OperatorFault(f"The library for Conda cannot be copied to {folder}: {error.strerror}.") from error


def _move(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:
        if not place.exists():  # else another build was faster
            raise


_not_needed = shutil.ignore_patterns("__pycache__")


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


async def conda_library(paths: Paths) -> Mount:
    """Return what to mount so that a build can import the library.

    Raises: OperatorFault.
    """
    folder = paths.libraries / f"rattler-{importlib.metadata.version('py-rattler')}"
    await asyncio.to_thread(write_conda_library, folder)
    return folder, "/run/python", "ro"
