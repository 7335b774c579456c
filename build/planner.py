"""Plans one build: reads what its commit asks for, resolves it, and says which layers its image is made of."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from binder.errors import RepositoryFault
from binder.lifecycle import BuildState
from binder.paths import Paths
from binder.session_resources import Resources, check_resources
from binder.uses import mark_used
from build.commits.content import Beside, Tar
from build.commits.git import Commit, Git, Source
from build.environments import Wanted
from build.foundations import Foundation, foundation_of
from build.images import Images
from build.lock import Lock, lock_from
from build.log import BuildLog
from build.module_choice import ModuleChoice
from build.plan import (
    BEGINNING_OF_TIME,
    ENVIRONMENT_HOME,
    Layer,
    Namespaces,
    ToResolve,
    asked_key,
    build_asked_key,
    content_layer,
    environment_layer,
    in_namespace,
    locks_of,
    namespaces_for,
    prepared_layer,
    time_of,
    to_resolve,
)
from build.recipes.cran import Need, needs_of, preferred_packages
from build.recipes.debian import PYTHON_OF_SUITE, suite_for
from build.recipes.ignore import kept
from build.recipes.modules import client_files, with_modules
from build.recipes.recipe import Recipe, paths_to_read, recipe_for
from build.recipes.requirements import text_of
from build.resolution import Resolution
from build.ways import BuiltLayer
from modules.reading import digest_of_files
from templates import render

LOCK_FILE = "binder.lock"
"""The lock that `binder lock` writes, beside the files that it was made from."""

_DESCRIPTION = "DESCRIPTION"
_NOT_OURS = ("opt",)
"""The folder above ours, which stays root's: a folder of a layer has the owner that the layer gives it."""

Archiving = Callable[[], Awaitable[Tar]]
"""Waits for the archive of a commit's files."""


async def _tell_nobody(_: Sequence[BuiltLayer]) -> None:
    """Have nobody hear of the plan."""


@dataclass(frozen=True)
class Job:
    """One build: what is built, where it says what it does, and a folder of its own, empty at first.

    `enter` is told of each state that the build enters, `planned` of the layers of its image once it is known which of
    them are there already. Nothing else that is built by this service at the same time has its `name`.
    """

    source: Source
    sha: str
    log: BuildLog
    work: Path
    enter: Callable[[BuildState], Awaitable[None]]
    planned: Callable[[Sequence[BuiltLayer]], Awaitable[None]] = _tell_nobody
    name: str = "alone"


@dataclass(frozen=True)
class Plan:
    """All that one image is made of, from the bottom up.

    `built_with` maps the paths of the repository's own projects to the locks of what they are built with. `newest`
    (UTC) hides what was published later; None hides nothing. `locks` are the tags of the locks that it may be made of.
    """

    commit: Commit
    recipe: Recipe
    newest: datetime | None
    built_with: Mapping[str, str]
    locks: tuple[str, ...]
    foundation: Foundation
    environment: Wanted
    prepared: Layer
    content: Layer

    @property
    def layers(self) -> list[Layer]:
        """The layers that there are: one that a repository does not ask for is the one below it."""
        found = self.foundation
        return list(dict.fromkeys([found.base, found.system, self.environment.layer, self.prepared, self.content]))


class Planner:
    """Plans builds."""

    def __init__(
        self,
        paths: Paths,
        git: Git,
        resolution: Resolution,
        images: Images,
        *,
        suite: str,
        has_credentials: bool,
        most: Resources,
        modules: ModuleChoice,
    ) -> None:
        self._paths = paths
        self._git = git
        self._resolution = resolution
        self._images = images
        self._has_credentials = has_credentials
        self._most = most
        self._modules = modules
        self._suite = suite
        self._pythons = tuple(dict.fromkeys([PYTHON_OF_SUITE[suite], *PYTHON_OF_SUITE.values()]))

    async def fetch(self, job: Job) -> Commit:
        """Fetch the commit of a job.

        Raises: BinderError.
        """
        return await self._git.fetch(job.source, job.sha)

    async def recipe_of(self, job: Job, commit: Commit) -> Recipe:
        """Return what a commit that was fetched asks for; its sessions are given no more than the operator allows.

        Raises: RepositoryFault.
        """
        texts: dict[str, str] = {}
        while missing := [path for path in paths_to_read(commit.files, texts) if path not in texts]:
            read = await self._git.read_many(job.source, commit, missing)
            texts |= {path: text_of(content) for path, content in read.items()}
        recipe = recipe_for(commit.files, texts, self._pythons)
        if recipe.options.resources:
            check_resources(recipe.options.resources, self._most)
        if not recipe.options.modules:
            return recipe
        there = await self._laid(job, commit, recipe)
        return with_modules(recipe, await self._modules.chosen(job.source, commit, recipe.options.modules, there))

    async def _laid(self, job: Job, commit: Commit, recipe: Recipe) -> Collection[str]:
        """Return the files of a commit that its image gets."""
        if not recipe.ignore or recipe.containerfile:  # Buildah leaves out what a Dockerfile is not to see
            return commit.files
        text = await self.text_of(job, commit, recipe.ignore)
        return await asyncio.to_thread(lambda: set(kept(commit.files, text, file=recipe.ignore or "")))

    @asynccontextmanager
    async def archiving(self, job: Job, commit: Commit, recipe: Recipe) -> AsyncIterator[Archiving]:
        """Begin to write the archive of the files, and give what waits for it: it is wanted in nearly all cases."""

        async def write() -> Tar:
            paths = await self._laid(job, commit, recipe)
            below, at_root = ({}, {}) if recipe.containerfile else client_files(recipe.modules, commit.files)
            more = Beside(below, at_root, _NOT_OURS)
            return await self._git.write_tar(
                job.source, commit, paths, job.work / "content.tar", mtime=time_of(commit), more=more
            )

        writing = asyncio.create_task(write())
        try:
            yield lambda: asyncio.shield(writing)
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await writing

    async def plan(self, job: Job, commit: Commit, recipe: Recipe, archive: Archiving) -> Plan:
        """Return the layers of a commit's image; what it asks for is resolved, if nobody did it before.

        Raises: BinderError.
        """
        namespaces = self.namespaces_of(job)
        foundation, needs, of_r = await self._foundation(job, commit, recipe)
        asked = to_resolve(recipe, datetime.fromtimestamp(time_of(commit), UTC), commit.tree, namespaces)
        lock = await self._committed_lock(job, commit, foundation, asked)
        lock = lock or await self._resolution.lock(foundation, asked, archive, job.log, job.work)
        lock = await self._resolution.with_build_systems(foundation, asked, lock, job.log, job.work)
        built_with, lock = {path: one.pypi for path, one in (lock.build or {}).items()}, replace(lock, build=None)
        variables = dict(recipe.conda.variables) if recipe.conda else {}
        r = recipe.r
        # R finds its packages by a variable of the image, also where the repository asks for none of them.
        layer = environment_layer(foundation.system, lock, of_r, variables | ({"R": "yes"} if r else {}))
        layer = await self._placed(layer, namespaces)
        install_r = r.install if r else None
        wanted = Wanted(layer, foundation.system, lock, of_r, variables, r is not None, install_r, needs, namespaces)
        prepared = prepared_layer(layer, recipe, commit.files)
        if prepared != layer:
            prepared = await self._placed(prepared, namespaces)
        clients = client_files(recipe.modules, commit.files)
        laid = digest_of_files(clients[0] | clients[1]) if any(clients) else ""
        content = in_namespace(namespaces.kept, content_layer(prepared, job.source.url, commit, built_with, laid))
        locks = locks_of(foundation.base, asked, lock.python)
        return Plan(commit, recipe, asked.newest, built_with, locks, foundation, wanted, prepared, content)

    def namespaces_of(self, job: Job) -> Namespaces:
        """Return what a job may take of others, and where it keeps what it makes."""
        return namespaces_for(job.source, has_credentials=self._has_credentials)

    async def _placed(self, layer: Layer, namespaces: Namespaces) -> Layer:
        """Return a layer in the namespace that it is to be had in: what may only be taken has to be there."""
        kept = in_namespace(namespaces.kept, layer)
        if namespaces.is_trusted:
            return kept
        taken = replace(in_namespace(namespaces.taken, layer), is_taken=True)
        await mark_used(self._paths, [taken.tag])
        return taken if taken in await self._images.present([taken]) else kept

    async def text_of(self, job: Job, commit: Commit, path: str) -> str:
        """Return the text of a file of a commit."""
        return text_of((await self._git.read_many(job.source, commit, [path]))[path])

    async def lock(self, job: Job) -> tuple[str, Lock]:
        """Resolve what a commit asks for, whatever lock it has, and return where its lock belongs, and the lock.

        Raises: BinderError.
        """
        commit = await self.fetch(job)
        recipe = await self.recipe_of(job, commit)
        if recipe.containerfile:
            raise RepositoryFault(
                f"{recipe.containerfile} says itself what is installed: there is nothing to lock.",
                file=recipe.containerfile,
            )
        async with self.archiving(job, commit, recipe) as archive:
            foundation, _, _ = await self._foundation(job, commit, recipe)
            committed_at = datetime.fromtimestamp(time_of(commit), UTC)
            asked = to_resolve(recipe, committed_at, commit.tree, self.namespaces_of(job))
            lock = await self._resolution.lock(foundation, asked, archive, job.log, job.work)
            lock = await self._resolution.with_build_systems(foundation, asked, lock, job.log, job.work)
        return f"{recipe.folder}{LOCK_FILE}", lock

    async def _foundation(
        self, job: Job, commit: Commit, recipe: Recipe
    ) -> tuple[Foundation, Sequence[Need], Mapping[str, str]]:
        python, r = recipe.python, recipe.r
        suite = suite_for(
            python=python.version,
            python_from=python.version_from,
            r=r.version if r else None,
            r_from=r.from_ if r else None,
            default=self._suite,
        )
        needs, of_r = await self._of_r(job, commit, recipe, suite)
        preferred = preferred_packages(needs, dated=bool(r and r.snapshot))
        return foundation_of(suite, recipe, preferred, self.namespaces_of(job)), needs, of_r

    async def _of_r(
        self, job: Job, commit: Commit, recipe: Recipe, suite: str
    ) -> tuple[Sequence[Need], dict[str, str]]:
        """Return what the repository, as a package of R, needs, and the files that R's packages are installed with."""
        r = recipe.r
        if r is None:
            return (), {}
        paths = [*([r.install] if r.install else []), *([_DESCRIPTION] if r.description else [])]
        texts = {path: text_of(data) for path, data in (await self._git.read_many(job.source, commit, paths)).items()}
        needs = needs_of(_DESCRIPTION, texts[_DESCRIPTION]) if r.description else ()
        if not needs and not r.install:
            return (), {}
        snapshot = r.snapshot.isoformat() if r.snapshot else None
        script = render(
            "build/r.sh", prefix=ENVIRONMENT_HOME, suite=suite, snapshot=snapshot, needs=needs, install=bool(r.install)
        )
        return needs, {"r.sh": script, **({"install.R": texts[r.install]} if r.install else {})}

    async def archive_of_inputs(self, job: Job, plan: Plan) -> Tar:
        """Return the archive of what a postBuild says it reads, and of itself."""
        recipe = plan.recipe
        paths = sorted({*filter(None, [recipe.post_build]), *(recipe.options.post_build_inputs or ())})
        return await self._git.write_tar(
            job.source, plan.commit, paths, job.work / "inputs.tar", mtime=BEGINNING_OF_TIME
        )

    async def _committed_lock(self, job: Job, commit: Commit, foundation: Foundation, asked: ToResolve) -> Lock | None:
        """Return the lock that the repository has, if it has one.

        Raises: RepositoryFault, where it is none, or was made of something else.
        """
        path = f"{asked.recipe.folder}{LOCK_FILE}"
        if path not in commit.files:
            return None
        text = await self.text_of(job, commit, path)
        lock = lock_from(text)
        if lock is None:
            raise RepositoryFault(f"{path} is not a lock. Run `binder lock` to write it again.", file=path)
        if not _is_of(lock, foundation.suite, asked):
            raise RepositoryFault(
                f"{path} was made from other configuration files than there are now. Run `binder lock`, and commit it.",
                file=path,
            )
        job.log.heading(f"The environment is that of {path}")
        return lock


def _is_of(lock: Lock, suite: str, asked: ToResolve) -> bool:
    """Whether a lock was made of what is asked; one of before build systems were locked says nothing of them."""
    systems = asked.recipe.python.build_systems
    built = {path: build_asked_key(suite, asked, system) for path, system in systems.items()}
    locked = None if lock.build is None else {path: one.made_of for path, one in lock.build.items()}
    return lock.made_of == asked_key(suite, asked) and locked in (None, built)
