"""Lays a commit's files on its environment: one layer, replaced as a whole at each push, so that deletions work.

Where nothing is to be run, the layer is written straight from git's objects and no container is made. Where the
repository installs itself, or has a postBuild, Buildah runs that on the files, without the credentials of the host.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from binder.errors import BinderError
from binder.paths import Paths
from build.buildah import Buildah, Mount, Network
from build.commits.content import Tar
from build.commits.git import Commit, Source
from build.faults import explain_post_build, explain_project
from build.host import HostSettings, step_mounts
from build.images import Images, Record, Texts, name_of, write_record
from build.inventory import INVENTORY, Listing
from build.lock import uv_options
from build.log import BuildLog
from build.plan import BEGINNING_OF_TIME, HOME, Layer, template, time_of
from build.planner import Plan
from build.recipes.recipe import Project
from build.registries.oci import ConfigChange
from templates import render

_COMMAND = ("jupyter-lab", "--ip=0.0.0.0")
_PORTS = ("8888/tcp",)


@dataclass(frozen=True)
class Content:
    """A layer of files: what it lies on, what runs when the files are there, and what its image says about itself.

    `built_with` maps the path of each project to the lock of what it is built with, `manifests` to the file that says
    what it is. `newest` (UTC) hides what was published later; None hides nothing. `with_credentials`: what was fetched
    with those of the host may be taken.
    """

    layer: Layer
    parent: Layer
    created: int
    post_build: str | None = None
    projects: Sequence[Project] = ()
    manifests: Mapping[str, str] = field(default_factory=dict)
    built_with: Mapping[str, str] = field(default_factory=dict)
    newest: datetime | None = None
    is_r_package: bool = False
    python: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] | None = None
    with_credentials: bool = False

    @property
    def runs(self) -> bool:
        """Whether anything is to be run on the files."""
        return bool(self.post_build or self.projects or self.is_r_package)


def labels_of(source: Source, commit: Commit) -> dict[str, str]:
    """Return what an image says about where it comes from.

    Source: https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md
    """
    created = datetime.fromtimestamp(time_of(commit), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    values = {"source": source.url, "revision": commit.sha, "created": created}
    return {f"org.opencontainers.image.{name}": value for name, value in values.items()}


def content_of(plan: Plan, source: Source) -> Content:
    """Return the uppermost layer of a plan."""
    recipe, is_prepared = plan.recipe, plan.prepared != plan.environment.layer
    return Content(
        plan.content,
        plan.prepared,
        time_of(plan.commit),
        post_build=None if is_prepared else recipe.post_build,
        projects=recipe.python.projects,
        manifests={path: system.file for path, system in recipe.python.build_systems.items()},
        built_with=plan.built_with,
        newest=plan.newest,
        is_r_package=bool(recipe.r and recipe.r.description),
        python=plan.environment.python,
        labels=labels_of(source, plan.commit),
        with_credentials=plan.foundation.with_credentials,
        entrypoint=(*plan.environment.entrypoint, f"{HOME}/{recipe.start}") if recipe.start else None,
    )


def preparation_of(plan: Plan) -> Content:
    """Return the layer in which a postBuild runs on nothing but what it says it reads."""
    environment = plan.environment
    return Content(
        plan.prepared,
        environment.layer,
        BEGINNING_OF_TIME,
        post_build=plan.recipe.post_build,
        python=environment.python,
    )


class Contents:
    """Makes the uppermost layers."""

    def __init__(
        self, paths: Paths, buildah: Buildah, images: Images, texts: Texts, host: HostSettings, network: Network
    ) -> None:
        self._paths = paths
        self._buildah = buildah
        self._images = images
        self._texts = texts
        self._host = host
        self._network: Network = network

    async def lay(self, content: Content, archive: Tar, notes: BuildLog, work: Path) -> None:
        """Lay an archive on an image that is there, and run what is to be run on it.

        Raises: BinderError.
        """
        if content.runs:
            await self._run(content, archive, notes, work)
            return
        change = ConfigChange(
            created=content.created,
            created_by="binder: the repository's files",
            cmd=_COMMAND,
            entrypoint=content.entrypoint,
            exposed_ports=_PORTS,
            labels=content.labels,
        )
        await self._images.append(content.parent, content.layer, archive, change)

    async def _run(self, content: Content, archive: Tar, notes: BuildLog, work: Path) -> None:
        await self._images.bring(content.parent)
        given = work / content.layer.kind
        (given / "context").mkdir(parents=True)
        files = {"content.sh": _script(content, has_network=self._network == "host"), INVENTORY: template(INVENTORY)}
        for name, text in {**files, **_locks(content)}.items():
            (given / name).write_text(text, encoding="utf-8")
        (given / "context" / "content.tar").hardlink_to(archive.path)
        archive.path.chmod(0o644)
        containerfile = given / "Containerfile"
        text = render(
            "build/content.Containerfile",
            parent=name_of(self._images, content.parent),
            labels=content.labels,
            entrypoint=content.entrypoint,
        )
        containerfile.write_text(text, encoding="utf-8")

        def explain(output: str) -> BinderError | None:
            fault = explain_project(output, has_network=self._network == "host")
            return fault or (explain_post_build(content.post_build, output) if content.post_build else None)

        listing = Listing(notes.take)
        await self._buildah.make(
            name_of(self._images, content.layer),
            containerfile,
            given / "context",
            mounts=self._mounts(content, given),
            # What a postBuild compiles remembers the times of its sources.
            created=None if content.post_build else content.created,
            step="postBuild" if content.post_build else "content",
            take=listing.take,
            explain=explain,
            network=self._network,
        )
        await self._images.keep(content.layer)
        if listing.packages is None:
            notes.line("The list of what the image holds could not be made anew: it is that of what it lies on.")
        await write_record(self._texts, content.layer, Record(packages=listing.packages))

    def _mounts(self, content: Content, given: Path) -> list[Mount]:
        wheels = self._paths.wheels(with_credentials=content.with_credentials)
        packages: list[Mount] = [(wheels, "/run/packages", "O")] if content.projects else []
        return step_mounts(self._host, self._paths, given, *packages)


def _locks(content: Content) -> dict[str, str]:
    """Return what the step is told of what projects are built with, options for indexes by themselves: file → text."""
    files: dict[str, str] = {}
    for number, project in enumerate(content.projects):
        lock, options = content.built_with.get(project.path, ""), _index_options(content, project)
        files[f"{number}.lock"] = "".join(f"{line}\n" for line in lock.splitlines() if line not in options)
        files[f"{number}.indexes"] = "".join(f"{line}\n" for line in options)
    return files


def _index_options(content: Content, project: Project) -> tuple[str, ...]:
    lock = content.built_with.get(project.path, "")
    return tuple(line for line in lock.splitlines() if line.startswith("-"))


def _script(content: Content, *, has_network: bool) -> str:
    return render(
        "build/content.sh",
        home=HOME,
        python=content.python,
        projects=content.projects,
        manifests=content.manifests,
        index_options={project.path: _index_options(content, project) for project in content.projects},
        uv_options=uv_options,
        epoch=max(content.created, BEGINNING_OF_TIME),
        newest=content.newest.isoformat() if content.newest else None,
        has_network=has_network,
        r_package=content.is_r_package,
        post_build=content.post_build,
    )
