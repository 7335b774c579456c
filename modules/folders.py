"""Reads the files of modules from folders of this machine; what they mean is left to `modules.reading`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from binder.errors import OperatorFault
from modules.reading import LARGEST_FILE_BYTES, MOST_BYTES, MOST_FILES

BUILT_IN = Path(__file__).parent
"""The folder of the modules that Binder brings: beside this package's own files."""

OF_ALL_VERSIONS = "all"
"""The folder beside those of a module's versions that holds the files that all of them have."""

_LEFT_OUT = frozenset({"__pycache__"})


def module_folders(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Give the name, the version and the folder of each module below a folder, whether or not it can be read.

    Raises: OperatorFault.
    """
    for named in _folders(folder):
        for versioned in _folders(named):
            if versioned.name != OF_ALL_VERSIONS:
                yield named.name, versioned.name, versioned


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a version of a module, from its folder and from that of all versions: path in it → content.

    Raises: OperatorFault.
    """
    shared = folder.parent / OF_ALL_VERSIONS
    return (files_in(shared) if shared.is_dir() else {}) | files_in(folder)


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the files below a module's folder: path in it → content. Links are followed nowhere.

    What begins with a dot, and what Python compiled, is left out.

    Raises: OperatorFault.
    """
    found: dict[str, bytes] = {}
    size = 0
    for path in _files(folder):
        with _reading(path):
            if path.stat().st_size > LARGEST_FILE_BYTES:
                raise OperatorFault(f"{path} is larger than 1 MiB, which no file of a module may be.")
            content = path.read_bytes()
        size += len(content)
        if len(found) >= MOST_FILES or size > MOST_BYTES:
            raise OperatorFault(f"{folder} holds more than {MOST_FILES} files or {MOST_BYTES // 2**20} MiB.")
        found[path.relative_to(folder).as_posix()] = content
    return found


def _folders(folder: Path) -> list[Path]:
    with _reading(folder):
        return sorted(
            path
            for path in folder.iterdir()
            if path.is_dir() and not path.name.startswith(".") and path.name not in _LEFT_OUT
        )


def _files(folder: Path) -> Iterator[Path]:
    with _reading(folder):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith(".") or entry.name in _LEFT_OUT:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(path)
        elif entry.is_file(follow_symlinks=False):
            yield path
        else:
            raise OperatorFault(f"{path} must be a file: links are followed nowhere in a module.")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what the system says of a path into a fault of the operator."""
    try:
        yield
    except OSError as error:
        raise OperatorFault(f"{path} cannot be read: {error.strerror or error}.") from error
