"""Lists the packages that an image holds, by what their installers wrote down: nothing that is installed is run.

Run inside of the image (`/usr/bin/python3 -I -S inventory.py`); or beside it, as root of a namespace, with the folder
that holds its files: that becomes the root before anything of it is read, so that no link leads out of it. What is read
may have been made to harm: it is read in parts that have an end, and there is a limit to how many and how long.
Prints a line that says that the list follows, then one JSON array for each package, the system itself among them where
it is looked at from beside: [type, name, version].
"""

from __future__ import annotations  # the Python of an older Debian runs it too

import json
import os
import re
import signal
import stat
import sys
from collections.abc import Iterator

_MOST_SECONDS = 20
_MOST_ENTRIES = 500_000
_LARGEST_FILE_BYTES = 2**18
_LARGEST_LIST_BYTES = 2**24

_CONDAS = ("home/*/*", "opt/*", "root/*", "srv/*")
_ENVIRONMENTS = (*_CONDAS, *(f"{conda}/envs/*" for conda in _CONDAS), "*", "app/*", "opt/*/*", "usr/local")
"""Folders that have `lib/python3*` in them, where people put them."""

_R_LIBRARIES = ("home/*/R/*/*", "opt/binder/r")

# Debian's own packages put there what is there, and are listed as such.
_OF_DEBIAN = ("/usr/lib/python3/", "/usr/lib/R/")

_Found = Iterator["tuple[str, str | None, str | None]"]
"""Packages: type, name, version."""

_entries_left = [_MOST_ENTRIES]


class _TooMuchError(Exception):
    """The list would not be true, for there is more than is read."""


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)  # a pipe would be waited for


def _bytes(path: str, most_bytes: int) -> bytes:
    try:
        with open(path, "rb", opener=_opened) as file:
            return file.read(most_bytes) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return b""


def _head(path: str) -> str:
    return _bytes(path, _LARGEST_FILE_BYTES).decode(errors="replace")


def _stanzas(path: str) -> list[dict[str, str]]:
    text = _bytes(path, _LARGEST_LIST_BYTES + 1)
    if len(text) > _LARGEST_LIST_BYTES:
        raise _TooMuchError(f"{path} is too large")
    return [_fields(stanza) for stanza in text.decode(errors="replace").split("\n\n")]


def _fields(text: str) -> dict[str, str]:
    """Return the fields of a stanza; what goes on in a line that begins with a space is left out."""
    pairs = (line.partition(":") for line in text.splitlines() if line[:1] not in {" ", "\t"})
    return {name: value.strip() for name, colon, value in pairs if colon}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _names(folder: str, *, only_folders: bool = False) -> list[str]:
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                _entries_left[0] -= 1
                if _entries_left[0] < 0:
                    raise _TooMuchError(f"there are more than {_MOST_ENTRIES:,} files to look at")
                if not only_folders or _is_folder(entry):
                    found.append(entry.name)
    except OSError:
        return []
    return sorted(found)


def _folders(pattern: str) -> list[str]:
    """Return the folders that a pattern is for; its parts are names, or `*`."""
    found = [""]
    for part in pattern.split("/"):
        found = [
            f"{folder}/{name}"
            for folder in found
            for name in (_names(folder or "/", only_folders=True) if part == "*" else [part])
        ]
    return found


def _system() -> _Found:
    lines = (line.partition("=") for line in _head("/etc/os-release").splitlines())
    values = {name: value.strip("\"'") for name, _, value in lines}
    yield "os", values.get("ID"), values.get("VERSION_CODENAME") or values.get("VERSION_ID")


def _debian() -> _Found:
    for fields in _stanzas("/var/lib/dpkg/status"):
        if fields.get("Status", "").endswith(" installed"):
            yield "deb", fields.get("Package"), fields.get("Version")


def _alpine() -> _Found:
    for fields in _stanzas("/lib/apk/db/installed"):
        yield "apk", fields.get("P"), fields.get("V")


def _conda(environment: str) -> _Found:
    for name in _names(f"{environment}/conda-meta"):
        # A record has its package's whole name, which is as much as needs to be known: it may have megabytes.
        parts = name.removesuffix(".json").rsplit("-", 2)
        if name.endswith(".json") and len(parts) == 3:
            yield "conda", parts[0], parts[1]


def _python(environment: str, ignored: tuple[str, ...]) -> _Found:
    for python in _names(f"{environment}/lib"):
        if not python.startswith("python3"):
            continue
        for kind in ("site-packages", "dist-packages"):
            folder = f"{environment}/lib/{python}/{kind}"
            if not folder.startswith(ignored):
                yield from _python_packages(folder)


def _python_packages(folder: str) -> _Found:
    for name in _names(folder):
        path = f"{folder}/{name}"
        if name.endswith(".dist-info"):
            text = _head(f"{path}/METADATA")
        elif name.endswith(".egg-info"):
            text = _head(f"{path}/PKG-INFO") or _head(path)
        else:
            continue
        if _head(f"{path}/INSTALLER").strip() != "conda":  # Conda's own list has it
            fields = _fields(text.partition("\n\n")[0])
            yield "pypi", re.sub(r"[-_.]+", "-", fields.get("Name", "")).lower(), fields.get("Version")


def _r(library: str) -> _Found:
    for name in _names(library):
        fields = _fields(_head(f"{library}/{name}/DESCRIPTION"))
        if fields.get("Priority") != "base":  # those are R itself
            yield "cran", fields.get("Package"), fields.get("Version")


def _environment(environment: str, ignored: tuple[str, ...]) -> _Found:
    conda = list(_conda(environment))
    yield from conda
    yield from _python(environment, ignored)
    named = {name for _, name, _ in conda}
    for library in (f"{environment}/lib/R/library", f"{environment}/lib/R/site-library"):
        if not library.startswith(ignored):
            yield from (one for one in _r(library) if f"r-{one[1]}".lower() not in named)


def _packages() -> _Found:
    debian = list(_debian())
    yield from debian
    yield from _alpine()
    ignored = _OF_DEBIAN if debian else ()
    for environment in sorted({folder for pattern in _ENVIRONMENTS for folder in _folders(pattern)}):
        yield from _environment(environment, ignored)
    for library in (folder for pattern in _R_LIBRARIES for folder in _folders(pattern)):
        yield from _r(library)


def _enter(folder: str) -> None:
    os.chroot(folder)
    os.chdir("/")
    # From here on, what would be imported would be the image's: not even what shows a traceback may be.
    sys.path.clear()
    sys.meta_path.clear()


def _listed(folders: list[str]) -> list[tuple[str, str | None, str | None]]:
    signal.alarm(_MOST_SECONDS)
    for folder in folders:
        _enter(folder)
    return sorted({one for one in [*(_system() if folders else ()), *_packages()] if all(one)})


try:
    found = _listed(sys.argv[1:])
except Exception as error:  # noqa: BLE001 - whatever it is, a traceback would read the image's files
    sys.exit(f"{type(error).__name__}: {error}")
print("--- inventory ---")
for package in found:
    print(json.dumps(package))
