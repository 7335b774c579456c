"""The catalogue of a service: Binder's own modules, and those that `BINDER_MODULES` names.

A repository of git is fetched once for each commit, and kept in the state folder: later starts need no network for it.
"""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from binder.errors import BinderError, OperatorFault, WorldFault
from binder.names import digest_of, is_inside, new_session_id
from binder.paths import Paths
from binder.settings import Settings
from build.commits.git import Git, Source
from build.commits.tree import LINK, SUBMODULE
from modules.catalogue import Catalogue, catalogue_of
from modules.folders import OF_ALL_VERSIONS
from modules.reading import DEFINITION, MOST_BYTES

_BELOW = "modules/"
_MOST_BYTES = 8 * MOST_BYTES


def kept_folders(settings: Settings, paths: Paths) -> list[tuple[Path, str]]:
    """Return the operator's folders of modules, each with what it is called: those of git, too, once they are there."""
    return [(_folder_of(address, paths), address) for address in settings.modules]


async def operators_catalogue(settings: Settings, paths: Paths, git: Git) -> Catalogue:
    """Return the modules that can be asked for here; what is in git is fetched where it was not before.

    Raises: OperatorFault, naming the setting, or file and line; WorldFault.
    """
    for address in settings.modules:
        if _is_git(address) and not _folder_of(address, paths).is_dir():
            await _fetch(address, _folder_of(address, paths), git)
    return await asyncio.to_thread(catalogue_of, kept_folders(settings, paths))


def _is_git(address: str) -> bool:
    return "://" in address


def _folder_of(address: str, paths: Paths) -> Path:
    return paths.state / "modules" / digest_of(address) if _is_git(address) else Path(address)


async def _fetch(address: str, folder: Path, git: Git) -> None:
    url, _, sha = address.rpartition("@")
    try:
        commit = await git.fetch(Source(url), sha)
        entries = {path: entry for path, entry in commit.files.items() if entry.mode not in {LINK, SUBMODULE}}
        wanted = _wanted(entries)
        if sum(entries[path].size for path in wanted) > _MOST_BYTES:
            raise OperatorFault(f"The modules in it are larger than {_MOST_BYTES // 2**20} MiB together.")
        contents = await git.read_many(Source(url), commit, wanted)
    except BinderError as error:
        kind = WorldFault if isinstance(error, WorldFault) else OperatorFault
        raise kind(f"The modules of {address} (BINDER_MODULES) cannot be had: {error.message}") from error
    await asyncio.to_thread(_write, folder, {wanted[path]: content for path, content in contents.items()})


def _wanted(paths: Mapping[str, object]) -> dict[str, str]:
    """Return the files of modules in a repository: path → path in the folder of modules, NAME/VERSION/…"""
    below = any(_is_definition(path.removeprefix(_BELOW)) for path in paths if path.startswith(_BELOW))
    start = _BELOW if below else ""
    inner = {path: path.removeprefix(start) for path in paths if path.startswith(start)}
    folders = {path.removesuffix(DEFINITION) for path in inner.values() if _is_definition(path)}
    folders |= {f"{folder.partition('/')[0]}/{OF_ALL_VERSIONS}/" for folder in folders}
    return {path: name for path, name in inner.items() if "/".join([*name.split("/")[:2], ""]) in folders}


def _is_definition(path: str) -> bool:
    return path.count("/") == 2 and path.endswith(f"/{DEFINITION}")


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of modules, whole or not at all."""
    new = folder.with_name(f".{new_session_id()}")
    try:
        new.mkdir(parents=True)
        for path, content in files.items():
            if not is_inside(path):
                raise OperatorFault(f"A module holds the file {path[:200]!r}, which none may have.")
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).write_bytes(content)
        if not folder.is_dir():  # another part of the service may have been faster
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
