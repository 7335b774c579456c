"""Brings the library that solves and installs Conda environments to where builds can import it.

It is one binary for every Python from 3.8 on, so that Debian's own can run it in any image.
"""

import importlib.metadata
import importlib.util
import shutil
import tempfile
from pathlib import Path

from binder.errors import OperatorFault


def write_conda_library(folder: Path) -> None:
    """Copy the library into a folder that builds have in their PYTHONPATH, once for each version; all can read it.

    Raises: OperatorFault.
    """
    found = importlib.util.find_spec("rattler")
    if found is None or not found.origin:
        raise OperatorFault("py-rattler is not installed beside the service. Run `make set-up`.")
    version = importlib.metadata.version("py-rattler")
    copy, mark = folder / "rattler", folder / "rattler.version"
    if copy.exists() and mark.exists() and mark.read_text(encoding="utf-8") == version:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        mark.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as made:
            shutil.copytree(Path(found.origin).parent, Path(made, "rattler"), ignore=_not_needed)
            _open_to_all(Path(made, "rattler"))
            shutil.rmtree(copy, ignore_errors=True)
            Path(made, "rattler").rename(copy)
        mark.write_text(version, encoding="utf-8")
        mark.chmod(0o644)
    except OSError as error:
        raise OperatorFault(f"The library for Conda cannot be copied to {folder}: {error.strerror}.") from error


_not_needed = shutil.ignore_patterns("__pycache__")


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
