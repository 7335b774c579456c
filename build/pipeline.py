"""One build from end to end: fetch, plan, and make the layers that are not there yet.

The cheapest way that is right: an image that exists is left alone; where only files changed, one layer is laid on the
environment that exists; where some packages changed, they are exchanged in an earlier environment; else the
environment is made, and below it what it lies on.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic

from binder.errors import WorldFault
from binder.lifecycle import BuildState
from binder.names import version_of_sha
from binder.notebook_checks import NotebookCheck, chosen_notebooks
from binder.paths import Paths
from binder.session_resources import Resources
from binder.uses import mark_used
from build.alone import Alone
from build.build_systems import BuildSystems
from build.commits.commit import Commit
from build.commits.tree import regular_files
from build.containerfiles import Asked, Containerfiles
from build.contents import Contents, content_of, labels_of, preparation_of
from build.environments import Environments, Outcome
from build.faults import NotFetchedFault
from build.images import Images, Record, Texts, name_of, read_record
from build.module_images import ModuleImages
from build.plan import Layer, containerfile_layer, in_namespace, time_of
from build.planner import Archiving, Job, Plan, Planner
from build.recipes.recipe import Recipe
from build.ways import BuiltLayer, Way, saved_by, way_of, why_of
from modules.bound import Bound

_REMOVED = "The image was removed while it was made."
_THERE = "The image of this commit was there already."


@dataclass(frozen=True)
class Built:
    """What a build made. `seconds` maps phases to their time.

    `packages` ([type, name, version]) is what it holds, None where that is not known.
    `saved` tells the `bytes` and `seconds` that the re-used layers would have cost; `changed` names the packages that
    were exchanged in an earlier environment; `locks` are the tags of what makes it the same again once it has gone;
    `resources` are what its sessions ask for, `modules` what they have beside the notebook;
    `check` is what has to run in the image before it is good, None where nothing has.
    """

    image: str
    digest: str
    way: Way
    why: str
    layers: tuple[BuiltLayer, ...]
    saved: dict[str, float]
    seconds: dict[str, float]
    packages: Sequence[Sequence[str]] | None
    created: datetime
    changed: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)
    modules: tuple[Bound, ...] = ()
    check: NotebookCheck | None = None


@dataclass
class Watch:
    """Measures the phases of a build."""

    seconds: dict[str, float] = field(default_factory=dict)

    @asynccontextmanager
    async def phase(self, name: str) -> AsyncIterator[None]:
        """Add the time of the block to a phase."""
        began = monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0) + monotonic() - began, 3)


class Pipeline:
    """Makes images of commits; layers that several builds need are made once."""

    def __init__(
        self,
        paths: Paths,
        planner: Planner,
        images: Images,
        texts: Texts,
        alone: Alone,
        environments: Environments,
        build_systems: BuildSystems,
        contents: Contents,
        containerfiles: Containerfiles,
        module_images: ModuleImages,
    ) -> None:
        self._paths = paths
        self._planner = planner
        self._images = images
        self._texts = texts
        self._alone = alone
        self._environments = environments
        self._build_systems = build_systems
        self._contents = contents
        self._containerfiles = containerfiles
        self._module_images = module_images

    async def build(self, job: Job) -> Built:
        """Turn a commit into an image.

        Raises: BinderError.
        """
        watch = Watch()
        await job.enter(BuildState.FETCHING)
        version = version_of_sha(job.sha)
        job.log.heading(f"Fetching version {version}" if version else f"Fetching commit {job.sha}")
        async with watch.phase("fetch"):
            commit = await self._planner.fetch(job)
        async with watch.phase("plan"):
            recipe = await self._planner.recipe_of(job, commit)
        asked_check, asked = recipe.options.check, recipe.options.resources
        check = chosen_notebooks(asked_check, regular_files(commit.files)) if asked_check else None
        await job.enter(BuildState.BUILDING)
        modules = await self._modules(job, recipe, watch)
        async with self._planner.archiving(job, commit, recipe) as archive:
            if recipe.containerfile:
                built = await self._build_containerfile(job, commit, recipe, archive, watch)
            else:
                async with watch.phase("environment"):
                    plan = await self._planner.plan(job, commit, recipe, archive)
                built = await self._make(job, plan, archive, watch)
        resources = asked.resources if asked else Resources()
        return replace(built, resources=resources, modules=modules, check=check)

    async def _modules(self, job: Job, recipe: Recipe, watch: Watch) -> tuple[Bound, ...]:
        """Return the modules that a recipe asks for, whose images are there from now on."""
        if not recipe.modules:
            return ()
        async with watch.phase("modules"):
            return await self._module_images.bound(recipe, self._planner.namespaces_of(job), job.log, job.work)

    async def _build_containerfile(
        self, job: Job, commit: Commit, recipe: Recipe, archive: Archiving, watch: Watch
    ) -> Built:
        path, namespaces = recipe.containerfile or "", self._planner.namespaces_of(job)
        # Credentials of the host have no part in it.
        namespace = "" if namespaces.is_trusted else namespaces.kept
        layer = in_namespace(namespace, containerfile_layer(job.source.url, commit))
        await mark_used(self._paths, [layer.tag])
        async with self._alone.at(layer.tag):
            before = await self._images.present([layer])
            await job.planned([BuiltLayer(layer, layer in before)])
            if layer not in before:
                text = await self._planner.text_of(job, commit, path)
                asked = Asked(path, text, recipe.ignore, labels_of(job.source, commit), namespace)
                async with watch.phase("image"):
                    await self._containerfiles.build(layer, asked, commit, archive, job.log, job.work)
        await job.enter(BuildState.PUSHING)
        images = before or await self._images.present([layer])
        if layer not in images:
            raise WorldFault(_REMOVED)
        async with watch.phase("list"):
            packages = await self._containerfiles.packages_in(layer, images[layer], job.log)
        why = f"{path} says how: its steps that did not change were re-used." if not before else _THERE
        name, layers = name_of(self._images, layer), (BuiltLayer(layer, layer in before),)
        job.log.heading(f"Image {name} is ready")
        way: Way = "nothing" if before else "full"
        created = datetime.fromtimestamp(time_of(commit), UTC)
        return Built(name, images[layer], way, why, layers, saved_by(layers), watch.seconds, packages, created)

    async def _make(self, job: Job, plan: Plan, archive: Archiving, watch: Watch) -> Built:
        outcome = Outcome("there")
        await mark_used(self._paths, [layer.tag for layer in plan.layers])
        async with self._alone.at(plan.content.tag):
            before = await self._images.present(plan.layers)
            if any(layer.is_taken and layer not in before for layer in plan.layers):
                raise WorldFault(_REMOVED)
            await job.planned([BuiltLayer(layer, _is_reused(layer, plan, before)) for layer in plan.layers])
            if plan.content not in before:
                if plan.environment.layer not in before:
                    async with watch.phase("environment"):
                        outcome = await self._environments.make(
                            plan.environment, plan.foundation, plan.recipe, job.log, job.work
                        )
                async with watch.phase("content"):
                    await self._lay(plan, archive, job, before)
        await job.enter(BuildState.PUSHING)
        return await self._built(job, plan, before, outcome, watch)

    async def _lay(self, plan: Plan, archive: Archiving, job: Job, before: Collection[Layer]) -> None:
        if plan.prepared not in before and plan.prepared != plan.environment.layer:
            job.log.heading("Running postBuild on the files that it reads")
            inputs = await self._planner.archive_of_inputs(job, plan)
            await self._contents.lay(preparation_of(plan), inputs, job.log, job.work)
        fetched = await self._fetch(plan, job)
        job.log.heading("Laying the repository's files on the environment")
        content = content_of(plan, job.source)
        try:
            await self._contents.lay(content, await archive(), job.log, job.work)
        except NotFetchedFault as error:
            if fetched:
                raise
            # Somebody may have removed it since.
            job.log.line(error.message)
            await self._fetch(plan, job, again=True)
            again = job.work / "again"
            again.mkdir(mode=0o711)
            await self._contents.lay(content, await archive(), job.log, again)

    async def _fetch(self, plan: Plan, job: Job, *, again: bool = False) -> bool:
        """Fetch what the repository's projects are built with, and return whether any of it was not there before."""
        locks, python = plan.built_with.values(), plan.environment.lock.python
        return await self._build_systems.fetch(
            plan.foundation, plan.recipe, locks, python, job.log, job.work, again=again
        )

    async def _built(self, job: Job, plan: Plan, before: Mapping[Layer, str], outcome: Outcome, watch: Watch) -> Built:
        images = before if plan.content in before else await self._images.present([plan.content])
        if plan.content not in images:
            raise WorldFault(_REMOVED)
        records = await asyncio.gather(*(read_record(self._texts, layer) for layer in plan.layers))
        layers = tuple(
            BuiltLayer(layer, _is_reused(layer, plan, before), record.size_bytes, record.seconds)
            for layer, record in zip(plan.layers, records, strict=True)
        )
        way = way_of(layers, is_delta=outcome.how == "delta")
        reused = sum(layer.reused for layer in layers)
        why = why_of(way, layers, outcome.changed)
        name = name_of(self._images, plan.content)
        job.log.heading(f"Image {name} is ready: {reused} of {len(layers)} layers were re-used")
        job.log.line(why)
        return Built(
            name,
            images[plan.content],
            way,
            why,
            layers,
            saved_by(layers),
            watch.seconds,
            _packages(records, plan.foundation.suite),
            datetime.fromtimestamp(time_of(plan.commit), UTC),
            outcome.changed,
            plan.locks,
        )


def _packages(records: Sequence[Record], suite: str) -> Sequence[Sequence[str]] | None:
    """Return what an image of layers holds, from the bottom up: what was listed last, and Debian."""
    listed = [record.packages for record in records if record.packages is not None]
    return [["os", "debian", suite], *listed[-1]] if listed else None


def _is_reused(layer: Layer, plan: Plan, before: Collection[Layer]) -> bool:
    return plan.content in before or layer in before
