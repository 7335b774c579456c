"""Which modules a commit asks for: read from the catalogue, and from the commit itself where it brings its own."""

import asyncio
from collections.abc import Collection, Mapping

from binder.errors import RepositoryFault
from build.commits.git import Commit, Git, Source
from build.recipes.modules import own_modules
from modules.asked import AskedModule
from modules.binding import Chosen, choose
from modules.catalogue import REPOSITORY, Catalogue
from modules.definition import Module
from modules.reading import read_module


class ModuleChoice:
    """Chooses modules. `of_repositories`: whether a repository may bring its own; `most_bytes`: what those of one
    session may use together.
    """

    def __init__(self, git: Git, catalogue: Catalogue, *, of_repositories: bool, most_bytes: int) -> None:
        self._git = git
        self._catalogue = catalogue
        self._of_repositories = of_repositories
        self._most_bytes = most_bytes

    async def chosen(
        self, source: Source, commit: Commit, asked: Collection[AskedModule], there: Collection[str]
    ) -> tuple[Chosen, ...]:
        """Return the modules that a commit asks for; `there` are the files of it that its image has.

        Raises: RepositoryFault, with file and line.
        """
        own = [module for one in asked for module in await self._own(source, commit, one)]
        modes: Mapping[str, str] = {path: commit.files[path].mode for path in there}
        return choose(tuple(asked), self._catalogue.joined(own), modes, self._most_bytes)

    async def _own(self, source: Source, commit: Commit, asked: AskedModule) -> list[Module]:
        found = own_modules(commit.files, asked.name)
        if found and not self._of_repositories:
            raise asked.fault(
                f"{next(iter(found))} brings a module of the repository's own, which this service does not allow. "
                f"There are {', '.join(f'`{name}`' for name in self._catalogue.names) or 'no others'}."
            )
        wanted = {place: paths for place, paths in found.items() if _is_wanted(place, asked)}
        return [await self._read(source, commit, asked.name, place, paths) for place, paths in wanted.items()]

    async def _read(self, source: Source, commit: Commit, name: str, place: str, paths: Mapping[str, str]) -> Module:
        contents = await self._git.read_many(source, commit, paths.values())
        files = {inner: contents[path] for inner, path in paths.items()}
        version = place.rpartition("/")[2]
        try:
            return await asyncio.to_thread(read_module, name, version, files, origin=REPOSITORY, folder=place)
        except RepositoryFault as error:
            named = error.file or ""
            real = paths.get(named.removeprefix(f"{place}/"), named)  # it may be in the folder of all versions
            raise RepositoryFault(error.message.replace(named, real), file=real, line=error.line) from error


def _is_wanted(place: str, asked: AskedModule) -> bool:
    return asked.version is None or place.rpartition("/")[2] == asked.version
