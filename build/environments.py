"""Makes what a repository's files are laid on: Debian, its packages, and the environment of a lock.

Each is made once for all that need it. An environment is made whole, or by exchanging what changed of an earlier one;
the latter is made again, whole, when there is nothing else to do.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Literal

from binder.errors import RepositoryFault, WorldFault
from binder.log import logger
from binder.uses import mark_used
from build.buildah import Mount
from build.delta import Delta, Made, nearest
from build.faults import NoWheelFault, explain_installation
from build.foundations import Foundation
from build.host import step_mounts
from build.images import LocalTexts, Record, name_of, read_record, write_record
from build.inventory import INVENTORY, Listing
from build.lock import Lock, lock_from, lock_text, uv_options
from build.log import BuildLog
from build.plan import (
    BEGINNING_OF_TIME,
    ENVIRONMENT_HOME,
    EVERYBODYS,
    HOME,
    Layer,
    Namespaces,
    environment_family,
    template,
)
from build.rattler import conda_library
from build.recipes.conda import explain_conda
from build.recipes.cran import Need
from build.recipes.recipe import Recipe
from build.system_faults import explain_r
from build.tools import Tools
from templates import render

log = logger(__name__)

_SHOWN = 3
_AGAIN = "again-"
_SIZE_FOLLOWS = "--- size ---"
_LONGEST_SIZE = 20

Method = Literal["whole", "built", "delta"]
"""How an environment is made: whole, whole with packages that have no wheel, or by exchanging packages of another."""


@dataclass(frozen=True)
class Wanted:
    """An environment that is wanted: its layer, what it lies on, and what is in it.

    `r` maps files to R's inputs; `variables` are the author's own.
    `install_r` and `needs` are where R's packages are asked for.
    `namespaces` are those of the build that wants it.
    """

    layer: Layer
    parent: Layer
    lock: Lock
    r: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    has_r: bool = False
    install_r: str | None = None
    needs: Sequence[Need] = ()
    namespaces: Namespaces = EVERYBODYS

    @property
    def python(self) -> str:
        """The folder of the environment that Jupyter runs in."""
        return f"{ENVIRONMENT_HOME}/{'conda' if self.has_conda_python else 'env'}"

    @property
    def entrypoint(self) -> tuple[str, ...]:
        """What starts whatever runs in the image: Conda's packages may want to set variables first."""
        return (f"{ENVIRONMENT_HOME}/conda-entrypoint",) if self.lock.conda else ()

    @property
    def is_plain(self) -> bool:
        """Whether it holds nothing but PyPI's packages: then it can be made of another one such, or another of it."""
        return not (self.lock.conda or self.has_r or self.variables)

    @property
    def has_conda_python(self) -> bool:
        """Whether its Python is one of Conda's."""
        return any(record["name"] == "python" for record in self.lock.conda)


@dataclass(frozen=True)
class Outcome:
    """How an environment came to be there; `changed` are the packages that were exchanged."""

    how: Literal["there", "delta", "whole"]
    changed: tuple[str, ...] = ()


def variables_of(wanted: Wanted) -> dict[str, str]:
    """Return the variables that an image of the environment sets."""
    prefixes = [wanted.python, *([f"{ENVIRONMENT_HOME}/conda"] if wanted.lock.conda else [])]
    places = [*dict.fromkeys(f"{prefix}/bin" for prefix in prefixes), f"{HOME}/.local/bin"]
    variables = {
        "PATH": ":".join([*places, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]),
        "NB_USER": "jovyan",
        "NB_UID": "1000",
        "HOME": HOME,
        "REPO_DIR": HOME,
        "SHELL": "/bin/bash",
    }
    if wanted.lock.conda:
        variables["CONDA_PREFIX"] = f"{ENVIRONMENT_HOME}/conda"
    if not wanted.has_conda_python:
        variables["VIRTUAL_ENV"] = wanted.python
    if wanted.has_r:
        variables["R_LIBS_USER"] = f"{ENVIRONMENT_HOME}/r"
    return {**wanted.variables, **variables}


class _Size:
    """Takes the lines of a step: the size of the environment behind the line that says so; all else is its log's."""

    def __init__(self, log: Callable[[str], Awaitable[None]]) -> None:
        self._log = log
        self._follows = False
        self.bytes: int | None = None

    async def take(self, line: str) -> None:
        """Take one line."""
        follows, self._follows = self._follows, line == _SIZE_FOLLOWS
        if follows and line.isdecimal() and len(line) < _LONGEST_SIZE:
            self.bytes = int(line)
        elif not self._follows:
            await self._log(line)


class Environments:
    """Makes the lower layers of images, each once."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._near = LocalTexts(tools.paths)

    async def make(
        self, wanted: Wanted, foundation: Foundation, recipe: Recipe, notes: BuildLog, work: Path
    ) -> Outcome:
        """See that an environment is there, and return how it was made.

        Raises: BinderError.
        """
        async with self._tools.alone.at(wanted.layer.tag):
            if wanted.layer in await self._tools.images.present([wanted.layer]):
                return Outcome("there")
            if delta := await self._delta_for(wanted):
                try:
                    await self._exchange(wanted, delta, notes, work)
                except (RepositoryFault, WorldFault) as error:
                    notes.line(error.message)
                else:
                    return Outcome("delta", delta.changed)
            await self._tools.foundations.lay(foundation, recipe, notes, work)
            await self._make_whole(wanted, notes, work)
            return Outcome("whole")

    def due(self) -> str | None:
        """Return the key of an environment that was made by deltas, and is to be made again, whole; the oldest."""
        tags = self._near.tags(_AGAIN)
        return tags[0].removeprefix(_AGAIN) if tags else None

    async def make_again(self, key: str, notes: BuildLog, work: Path) -> None:
        """Make an environment whole that was made by deltas, and see that it has the same packages.

        Raises: BinderError.
        """
        layer = Layer("environment", key)
        async with self._tools.alone.at(layer.tag):
            text = await self._near.read(f"{_AGAIN}{key}")
            if text is None:
                return
            # Whatever comes of it, it is tried once: the environment is there, and is right.
            self._near.forget(f"{_AGAIN}{key}")
            again = json.loads(text)
            parent, lock, namespace = again["parent"], lock_from(again["lock"]), again.get("namespace", "")
            if lock is None:
                return
            await mark_used(self._tools.paths, [layer.tag, Layer(*parent).tag])
            before = await read_record(self._tools.texts, layer)
            wanted = Wanted(layer, Layer(*parent), lock, {}, namespaces=Namespaces(namespace, namespace))
            if wanted.parent in await self._tools.images.present([wanted.parent]):
                await self._tools.images.bring(wanted.parent)
                await self._make_whole(wanted, notes, work)
                after = await read_record(self._tools.texts, layer)
                if changed := _differing(before.packages or (), after.packages or ()):
                    log.error("delta_differed", environment=key, changed=changed)

    async def _delta_for(self, wanted: Wanted) -> Delta | None:
        """Return the delta that is worth it; Conda's packages, R's and variables are not exchanged one by one."""
        if not wanted.is_plain:
            return None
        families = {environment_family(wanted.parent, namespace) for namespace in ("", wanted.namespaces.taken)}
        delta = nearest(await self._there(self._near.environments()), families, wanted.lock.pins)
        if delta is None:
            return None
        await mark_used(self._tools.paths, [f"environment-{delta.start.key}"])
        # From now on it stays, if it was not just removed.
        return delta if await self._there([delta.start]) else None

    async def _there(self, made: Sequence[Made]) -> list[Made]:
        there = await self._tools.buildah.images()
        return [one for one in made if f"{self._tools.images.repository}:environment-{one.key}" in there]

    async def _exchange(self, wanted: Wanted, delta: Delta, notes: BuildLog, work: Path) -> None:
        shown = ", ".join(delta.changed[:_SHOWN]) + (" …" if len(delta.changed) > _SHOWN else "")
        notes.heading(f"Exchanging packages of an earlier environment: {shown}")
        start = Layer("environment", delta.start.key)
        size = (await read_record(self._tools.texts, start)).size_bytes
        await self._install(wanted, start, "delta", notes, work, depth=delta.start.depth + 1, size_bytes=size)
        if wanted.namespaces.is_trusted:  # a fork's is not worth the time of a machine that has nothing else to do
            parent, namespace = (wanted.parent.kind, wanted.parent.key), wanted.namespaces.taken
            again = json.dumps({"parent": parent, "lock": lock_text(wanted.lock), "namespace": namespace})
            await self._near.write(f"{_AGAIN}{wanted.layer.key}", again)

    async def _make_whole(self, wanted: Wanted, notes: BuildLog, work: Path) -> None:
        notes.heading("Installing the environment")
        try:
            await self._install(wanted, wanted.parent, "whole", notes, work)
        except NoWheelFault as error:
            # Some package has no wheel. What is built from source runs code of its own, and so gets a copy of the
            # folder of packages that nobody else sees: it could put something else into a common one.
            notes.line(error.message)
            notes.heading("Installing the environment again, building the packages that have no wheel")
            await self._install(wanted, wanted.parent, "built", notes, work)

    async def _install(
        self,
        wanted: Wanted,
        start: Layer,
        method: Method,
        notes: BuildLog,
        work: Path,
        *,
        depth: int = 0,
        size_bytes: int | None = None,
    ) -> None:
        began = monotonic()
        given, file = work / method, work / f"{method}.Containerfile"
        given.mkdir(mode=0o755)
        for name, text in files_for(wanted, method).items():
            (given / name).write_text(text, encoding="utf-8")
        context = given / "nothing"
        context.mkdir()
        text = render(
            "build/environment.Containerfile",
            parent=name_of(self._tools.images, start),
            variables=variables_of(wanted),
            entrypoint=wanted.entrypoint,
            home=HOME,
        )
        file.write_text(text, encoding="utf-8")
        size = _Size(notes.take)
        listing = Listing(size.take)
        await self._tools.buildah.make(
            name_of(self._tools.images, wanted.layer),
            file,
            context,
            mounts=await self._mounts(given, method, wanted),
            created=BEGINNING_OF_TIME,
            step="environment",
            take=listing.take,
            explain=lambda output: (
                explain_conda(output, None)
                or explain_r(output, wanted.install_r, wanted.needs)
                or explain_installation(output)
            ),
        )
        await self._tools.images.keep(wanted.layer)
        record = Record(
            seconds=round(monotonic() - began, 3),
            family=_family_of(wanted, method),
            depth=depth,
            size_bytes=size.bytes or size_bytes,
            pins=wanted.lock.pins,
            packages=listing.packages,
        )
        await write_record(self._tools.texts, wanted.layer, record)

    async def _mounts(self, given: Path, method: Method, wanted: Wanted) -> list[Mount]:
        # Into the folder that all share goes only what was installed without any of it having run.
        runs_nothing = method == "whole" and not wanted.lock.conda and not wanted.r
        wheels = self._tools.paths.wheels(with_credentials=wanted.namespaces.with_credentials)
        packages: Mount = (wheels, "/run/packages", "rw" if runs_nothing else "O")
        library = [await conda_library(self._tools.paths)] if wanted.lock.conda else []
        reads = runs_nothing and wanted.namespaces.with_credentials
        return step_mounts(self._tools.host, self._tools.paths, given, packages, *library, reads_credentials=reads)


def _family_of(wanted: Wanted, method: Method) -> str | None:
    """Return the family in which others may begin with an environment: none, where code of a package ran in it.

    That may have changed files of other packages, which an exchange would leave as they are.
    """
    may = wanted.is_plain and wanted.namespaces.is_trusted and method != "built"
    return environment_family(wanted.parent, wanted.namespaces.taken) if may else None


def _differing(one: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> list[str]:
    return sorted(" ".join(package) for package in set(map(tuple, one)) ^ set(map(tuple, other)))


def files_for(wanted: Wanted, method: Method) -> dict[str, str]:
    """Return what the step that makes an environment is given: file → text."""
    script = render(
        "build/environment.sh",
        method=method,
        prefix=ENVIRONMENT_HOME,
        python=wanted.python,
        compiler=f"{wanted.python}/bin/python" if wanted.has_conda_python else "/usr/bin/python3",
        uv=" ".join(uv_options(wanted.lock.pypi.splitlines())),
        conda=bool(wanted.lock.conda),
        r=bool(wanted.r),
    )
    return {
        "environment.sh": script,
        "requirements.lock": wanted.lock.pypi,
        "binder.lock": lock_text(replace(wanted.lock, made_of="")),
        "conda.json": json.dumps(list(wanted.lock.conda)),
        "conda.py": template("conda.py"),
        INVENTORY: template(INVENTORY),
        **wanted.r,
    }
