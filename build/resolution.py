"""Resolves what a repository asks for to a lock: exact packages, once for all who ask for the same.

Resolving may run code of packages that must be built to say what they need. It happens in a container that is thrown
away, as the user of images, on a copy of the folder of packages that is thrown away too.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from binder.errors import RepositoryFault
from build.buildah import Mount
from build.commits.content import Tar
from build.faults import Lines, explain_resolution
from build.foundations import Foundation
from build.host import step_mounts
from build.images import name_of
from build.lock import Lock, lock_from, lock_text, uv_options
from build.log import BuildLog
from build.plan import (
    ToResolve,
    asked_key,
    build_asked_key,
    build_lock_key,
    default_packages,
    lock_key,
    lock_tags,
    template,
)
from build.rattler import conda_library
from build.recipes.conda import CondaChannels, explain_conda, locked_records, request_json
from build.recipes.modules import named
from build.recipes.recipe import BuildSystem
from build.tools import Tools
from modules.binding import Chosen

_PYPI_FOLLOWS = "--- lock ---"
_CONDA_FOLLOWS = "--- conda ---"
# No file of a repository has such a name.
_DEFAULTS = ".binder-jupyter.txt"
_BUILD_SYSTEM = ".binder-build-system.txt"
_DEBIANS_PYTHON = "/usr/bin/python3"
_NAME = re.compile(r"\A[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\Z")
# What is in the repository itself is installed when its files are there.
_LOCAL = re.compile(r"-e |\.{0,2}(?:/|\Z)|file:|[\w.-]+(?:\[[^]]*\])? @ (?:file:|\.)")
_CONDA = """
. /run/binder/environment
PYTHONPATH=/run/python exec /usr/bin/python3 -B /run/asked/conda.py solve /run/asked/request.json
"""


class After:
    """Takes the lines of a step: those before a mark are its log, those after it are its answer."""

    def __init__(self, mark: str, log: Callable[[str], Awaitable[None]]) -> None:
        self._mark = mark
        self._log = log
        self.lines: list[str] | None = None

    async def take(self, line: str) -> None:
        """Take one line."""
        if self.lines is not None:
            self.lines.append(line)
        elif line == self._mark:
            self.lines = []
        else:
            await self._log(line)

    @property
    def text(self) -> str:
        """The answer."""
        return "".join(f"{line}\n" for line in self.lines or ())


class Resolution:
    """Makes locks."""

    def __init__(self, tools: Tools, channels: CondaChannels) -> None:
        self._tools = tools
        self._channels = channels

    async def lock(
        self,
        foundation: Foundation,
        asked: ToResolve,
        archive: Callable[[], Awaitable[Tar]],
        notes: BuildLog,
        work: Path,
    ) -> Lock:
        """Return the lock of what is asked; `archive` makes the tar of the repository's files, where they are read.

        Raises: BinderError.
        """
        tags = lock_tags(lock_key(foundation.base, asked), asked.namespaces)
        async with self._tools.alone.at(tags[-1]):
            if lock := await self._kept(tags):
                return lock
            await self._tools.foundations.lay(foundation, asked.recipe, notes, work)
            notes.heading("Resolving the environment")
            conda = await self._conda(foundation, asked, notes, work)
            lock = await self._pypi(foundation, asked, conda, archive, notes, work)
            lock = replace(lock, made_of=asked_key(foundation.suite, asked))
            await self._tools.texts.write(tags[-1], lock_text(lock))
            return lock

    async def _kept(self, tags: Iterable[str]) -> Lock | None:
        for tag in dict.fromkeys(tags):
            if (text := await self._tools.texts.read(tag)) and (lock := lock_from(text)):
                return lock
        return None

    async def with_build_systems(
        self, foundation: Foundation, asked: ToResolve, lock: Lock, notes: BuildLog, work: Path
    ) -> Lock:
        """Return a lock of what is asked with the locks of what the repository's projects are built with, too.

        Raises: BinderError.
        """
        systems = asked.recipe.python.build_systems
        if lock.build is not None:
            return lock
        made = [await self._build_system(foundation, asked, one, lock, notes, work) for one in systems.values()]
        return replace(lock, build=dict(zip(systems, made, strict=True)))

    async def _build_system(
        self, foundation: Foundation, asked: ToResolve, system: BuildSystem, of: Lock, notes: BuildLog, work: Path
    ) -> Lock:
        made_of = build_asked_key(foundation.suite, asked, system)
        if not system.requires:
            return Lock("", made_of=made_of)
        tags = lock_tags(build_lock_key(foundation.base, asked, system, of.python), asked.namespaces)
        async with self._tools.alone.at(tags[-1]):
            if lock := await self._kept(tags):
                return lock
            await self._tools.foundations.lay(foundation, asked.recipe, notes, work)
            notes.heading(f"Resolving what {system.file} is built with")
            options = asked.recipe.python.index_options
            given = _folder(work / tags[-1])
            _write(given / "files" / _BUILD_SYSTEM, "".join(f"{line}\n" for line in [*options, *system.requires]))
            lines = {name: (system.file, line) for name, line in system.lines.items()}
            arguments = [*uv_options(options), _BUILD_SYSTEM, *_python_options(of), *_day_options(asked)]
            found = await self._compiled(
                foundation, arguments, self._mounts(foundation, given), {system.file: ""}, lines, notes
            )
            lock = Lock("\n".join([*options, *found, ""]), made_of=made_of)
            await self._tools.texts.write(tags[-1], lock_text(lock))
            return lock

    async def _conda(
        self, foundation: Foundation, asked: ToResolve, notes: BuildLog, work: Path
    ) -> list[dict[str, Any]]:
        request = asked.recipe.conda
        if request is None:
            return []
        if (locked := locked_records(request, self._channels)) is not None:
            return locked
        given = _folder(work / "conda")
        (given / "conda.py").write_text(template("conda.py"), encoding="utf-8")
        newest = asked.newest.isoformat() if asked.newest else None
        (given / "request.json").write_text(request_json(request, self._channels, newest), encoding="utf-8")
        answer = After(_CONDA_FOLLOWS, notes.take)
        await self._tools.buildah.run_inside(
            name_of(self._tools.images, foundation.system),
            _CONDA,
            mounts=[*self._mounts(foundation, given), await conda_library(self._tools.paths)],
            step="environment",
            take=answer.take,
            explain=lambda output: explain_conda(output, request),
        )
        records: list[dict[str, Any]] = json.loads(answer.text)
        return records

    async def _pypi(
        self,
        foundation: Foundation,
        asked: ToResolve,
        conda: list[dict[str, Any]],
        archive: Callable[[], Awaitable[Tar]],
        notes: BuildLog,
        work: Path,
    ) -> Lock:
        python = asked.recipe.python
        given = _folder(work / "asked")
        constraints = {**{path: python.asked[path] for path in python.constraints}, **_constraints_of(conda)}
        roots = {**python.asked, _DEFAULTS: default_packages()}
        for path, text in {**roots, **constraints}.items():
            _write(given / "files" / path, text)
        mounts = self._mounts(foundation, given)
        if python.reads_tree:
            mounts.append(((await archive()).path, "/run/tree.tar", "ro"))
        arguments = [
            *uv_options(python.index_options),
            *python.roots,
            _DEFAULTS,
            *(part for path in constraints for part in ("--constraint", path)),
        ]
        arguments += [*_python_options(Lock("", conda)), *_day_options(asked)]
        modules = asked.recipe.modules
        found = await self._compiled(foundation, arguments, mounts, python.asked, python.lines, notes, modules)
        return Lock("\n".join([*python.index_options, *found, ""]), tuple(conda))

    async def _compiled(
        self,
        foundation: Foundation,
        arguments: Sequence[str],
        mounts: list[Mount],
        asked: Mapping[str, str],
        lines: Lines,
        notes: BuildLog,
        modules: Sequence[Chosen] = (),
    ) -> list[str]:
        """Return the lines of the lock that uv makes; `asked`, `lines` and `modules` are where to look for a fault."""

        async def resolve(mounts: list[Mount], *options: str) -> list[str]:
            answer = After(_PYPI_FOLLOWS, notes.take)
            await self._tools.buildah.run_inside(
                name_of(self._tools.images, foundation.system),
                template("resolve.sh"),
                *options,
                *arguments,
                mounts=mounts,
                step="environment",
                take=answer.take,
                explain=lambda output: named(explain_resolution(output, asked, lines), modules),
            )
            return without_places(answer.lines or ())

        has_credentials = bool(foundation.with_credentials and self._tools.host.netrc)
        found = await self._signed_in(resolve, mounts, notes) if has_credentials else None
        return found or await resolve(mounts)

    async def _signed_in(
        self, resolve: Callable[..., Awaitable[list[str]]], mounts: list[Mount], notes: BuildLog
    ) -> list[str] | None:
        """Resolve with the host's credentials, and without building anything; None if that fails."""
        try:
            return await resolve([*mounts, (self._tools.paths.credentials, "/run/credentials", "ro")], "--no-build")
        except RepositoryFault as error:
            notes.line(error.message)
            notes.heading("Resolving again, without this service's credentials, for something must be built")
            return None

    def _mounts(self, foundation: Foundation, given: Path) -> list[Mount]:
        wheels = (self._tools.paths.wheels(with_credentials=foundation.with_credentials), "/run/packages", "O")
        return step_mounts(self._tools.host, self._tools.paths, given, wheels)


def without_places(lines: Iterable[str]) -> list[str]:
    """Return the entries of a lock, of one line or several, but for those that are places of the repository."""
    kept: list[str] = []
    is_kept = True
    for line in lines:
        if not line.startswith((" ", "\t")):
            is_kept = not _LOCAL.match(line.removesuffix("\\").strip())
        if is_kept:
            kept.append(line)
    return kept


def _constraints_of(conda: list[dict[str, Any]]) -> dict[str, str]:
    """Return what keeps PyPI's packages at the versions that Conda's Python has of them already."""
    pins = [f"{record['name']}=={record['version']}\n" for record in conda if _is_pin(record)]
    return {".binder-conda.txt": "".join(pins)} if conda else {}


def _is_pin(record: dict[str, Any]) -> bool:
    """Whether a package of Conda's could be one of PyPI's: what is no version there cannot."""
    try:
        Version(record["version"])
    except InvalidVersion:
        return False
    return bool(_NAME.match(record["name"])) and record["name"] != "python"


def _python_options(lock: Lock) -> list[str]:
    version = lock.python
    return ["--python", _DEBIANS_PYTHON, *(["--python-version", version] if version else [])]


def _day_options(asked: ToResolve) -> list[str]:
    return ["--exclude-newer", asked.newest.isoformat()] if asked.newest else []


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o755)
    return path


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
