"""One build from end to end: fetch, plan, and make the layers that are not there yet.

The cheapest way that is right: an image that exists is left alone; where only files changed, one layer is laid on the
environment that exists; else the environment is made first, and below it the base.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Literal
from weakref import WeakValueDictionary

from binder.errors import WorldFault
from binder.lifecycle import BuildState
from binder.paths import Paths
from binder.process import Account
from build.base import make_base
from build.buildah import Buildah
from build.faults import NoWheelFault, explain_installation, explain_post_build, explain_resolution
from build.git import Commit, Git, Source
from build.host import HostSettings
from build.log import BuildLog
from build.plan import ENVIRONMENT_HOME, HOME, BuildPlan, Layer, base_layer, default_packages, lock_key, plan_build
from build.recipe import Recipe, paths_to_read, recipe_for
from build.requirements import text_of
from templates import render, source_path

Way = Literal["nothing", "content", "full"]
"""Which way a build took: nothing to do, one layer of content, or the environment too."""

_BEGINNING_OF_TIME = 315_532_800  # 1980-01-01, the earliest that a zip archive can hold
_END_OF_TIME = 4_102_444_800  # 2100-01-01; a commit may say any time, a layer cannot hold all of them
_LOCK_FOLLOWS = "--- lock ---"


@dataclass(frozen=True)
class Built:
    """What a build made. `layers` tells for each layer whether it was re-used; `seconds` maps phases to their time."""

    image: str
    digest: str
    way: Way
    layers: tuple[tuple[Layer, bool], ...]
    seconds: dict[str, float]


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


@dataclass(frozen=True)
class Job:
    """One build: what is built, where it says what it does, and a folder of its own, empty at first.

    `enter` is told of each state that the build enters.
    """

    source: Source
    sha: str
    log: BuildLog
    work: Path
    enter: Callable[[BuildState], Awaitable[None]]


class Pipeline:
    """Makes images of commits, on one engine's storage; layers that several builds need are made once."""

    def __init__(
        self, paths: Paths, account: Account, buildah: Buildah, git: Git, host: HostSettings, *, suite: str
    ) -> None:
        self._paths = paths
        self._account = account
        self._buildah = buildah
        self._git = git
        self._host = host
        self._suite = suite
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def build(self, job: Job) -> Built:
        """Turn a commit into an image.

        Raises: BinderError.
        """
        watch = Watch()
        await job.enter(BuildState.FETCHING)
        job.log.heading(f"Fetching commit {job.sha}")
        async with watch.phase("fetch"):
            commit = await self._git.fetch(job.source, job.sha)
            read = {path: await self._git.read(job.source, commit, path) for path in paths_to_read(commit.files)}
        recipe = recipe_for(commit.files, {path: text_of(content) for path, content in read.items()})
        await job.enter(BuildState.BUILDING)
        async with watch.phase("environment"):
            base = base_layer(self._suite)
            lock = await self._lock(base, recipe, job)
            plan = plan_build(base, recipe, lock, commit.tree)
            before = await self._buildah.images()
            if plan.content.image not in before:
                await self._environment(plan, lock, job)
        async with watch.phase("content"), self._alone(plan.content.key) as was_first:
            before = before if was_first else await self._buildah.images()
            if plan.content.image not in before:
                await self._content(plan, recipe, commit, job)
        await job.enter(BuildState.PUSHING)
        return await self._built(plan, before, watch, job.log)

    async def _built(self, plan: BuildPlan, before: dict[str, str], watch: Watch, log: BuildLog) -> Built:
        there = plan.content.image in before
        images = before if there else await self._buildah.images()
        if plan.content.image not in images:
            raise WorldFault("The image was removed while it was made.")
        layers = tuple((layer, there or layer.image in before) for layer in plan.layers)
        way: Way = "nothing" if there else "content" if plan.environment.image in before else "full"
        reused = sum(reused for _, reused in layers)
        log.heading(f"Image {plan.content.image} is ready: {reused} of {len(layers)} layers were re-used")
        return Built(plan.content.image, images[plan.content.image], way, layers, watch.seconds)

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[bool]:
        """Wait until nobody else in this process makes the thing of that key; give whether nobody did."""
        lock = self._making.setdefault(key, asyncio.Lock())
        was_first = not lock.locked()
        async with lock:
            yield was_first

    async def _base(self, base: Layer, log: BuildLog) -> None:
        async with self._alone(base.key):
            if base.image not in await self._buildah.images():
                log.heading(f"Bootstrapping Debian {self._suite}, once for this machine")
                await make_base(self._buildah, base, self._suite, log)

    async def _lock(self, base: Layer, recipe: Recipe, job: Job) -> str:
        """Return the resolved environment; what was asked for once is resolved once."""
        key = lock_key(base, recipe)
        kept = self._paths.locks / key
        async with self._alone(key):
            if not kept.exists():
                await self._base(base, job.log)
                job.log.heading("Resolving the environment")
                text = await self._resolve(base, recipe, job)
                new = kept.with_suffix(f".{self._paths.instance}")  # another service may be at it too
                new.write_text(text, encoding="utf-8")
                new.replace(kept)
        return kept.read_text(encoding="utf-8")

    async def _resolve(self, base: Layer, recipe: Recipe, job: Job) -> str:
        asked = job.work / "asked"
        asked.mkdir(mode=0o755)
        requirements = recipe.requirements
        (asked / "requirements.txt").write_text(requirements.text if requirements else "", encoding="utf-8")
        (asked / "jupyter.txt").write_text(default_packages(), encoding="utf-8")
        script = source_path("build/resolve.sh").read_text(encoding="utf-8")
        links = [f"--volume={folder}:{inside}:ro" for folder, inside in self._host.folders.items()]
        locked: list[str] = []

        async def take(line: str) -> None:
            if locked or line == _LOCK_FOLLOWS:
                locked.append(line)
            else:
                job.log.line(line)

        await self._buildah.run_script(
            script,
            *(base.image, str(self._paths.tools), str(asked), *links),
            step="environment",
            take=take,
            explain=lambda output: explain_resolution(output, requirements),
        )
        options = requirements.index_options if requirements else ()
        return "\n".join([*options, *locked[1:], ""])

    async def _environment(self, plan: BuildPlan, lock: str, job: Job) -> None:
        async with self._alone(plan.environment.key):
            if plan.environment.image in await self._buildah.images():
                return
            await self._base(plan.base, job.log)
            job.log.heading("Installing the environment")
            context = job.work / "environment"
            context.mkdir(mode=0o755)
            (context / "requirements.lock").write_text(lock, encoding="utf-8")
            try:
                await self._install(plan, context, self._paths.packages / "wheels", job.log, builds_allowed=False)
            except NoWheelFault as error:
                # Some package has no wheel. What is built from source runs code of its own, and so gets a cache that
                # it shares with nobody: it could put something else into a common one.
                job.log.line(error.message)
                job.log.heading("Installing the environment again, building the packages that have no wheel")
                own = self._new_folder(job.work / "packages")
                await self._make_folders(own)
                await self._install(plan, context, own, job.log, builds_allowed=True)

    async def _install(
        self, plan: BuildPlan, context: Path, packages: Path, log: BuildLog, *, builds_allowed: bool
    ) -> None:
        text = render(
            "build/environment.Containerfile",
            base=plan.base.image,
            prefix=ENVIRONMENT_HOME,
            home=HOME,
            builds_allowed=builds_allowed,
        )
        await self._buildah.make(
            plan.environment.image,
            _written(context.with_suffix(".Containerfile"), text),
            context,
            mounts=[*self._mounts(), (packages, "/run/packages", "rw")],
            created=_BEGINNING_OF_TIME,
            step="environment",
            log=log,
            explain=explain_installation,
        )

    async def _content(self, plan: BuildPlan, recipe: Recipe, commit: Commit, job: Job) -> None:
        job.log.heading("Laying the repository's files on the environment")
        content = self._new_folder(job.work / "content")
        await self._git.lay_out(job.source, commit, content)
        script = recipe.post_build
        text = render("build/content.Containerfile", environment=plan.environment.image, home=HOME, post_build=script)
        await self._buildah.make(
            plan.content.image,
            _written(content.with_suffix(".Containerfile"), text),
            content,
            mounts=self._mounts(),
            # What postBuild compiles remembers the times of its sources.
            created=None if script else min(commit.time, _END_OF_TIME),
            step="postBuild" if script else "content",
            log=job.log,
            explain=lambda output: explain_post_build(script, output) if script else None,
        )

    def _mounts(self) -> list[tuple[Path, str, str]]:
        links = [(folder, inside, "ro") for folder, inside in self._host.folders.items()]
        return [(self._paths.tools, "/run/binder", "ro"), *links]

    def _new_folder(self, folder: Path) -> Path:
        """Make a folder that belongs to the build account."""
        folder.mkdir(mode=0o755)
        if self._account.is_other:
            shutil.chown(folder, self._account.uid, self._account.gid)
        return folder

    async def _make_folders(self, *folders: Path) -> None:
        """Make folders that the user of the images can write to; their owner exists only in a namespace."""
        script = 'install -d -o 1000 -g 1000 "$@"'
        await self._buildah.run_script(script, *map(str, folders), step="folders", take=None)

    async def prepare(self) -> None:
        """Make what builds share; to be called once, before the first of them."""
        await self._make_folders(self._paths.packages / "wheels")


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
