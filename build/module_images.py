"""Makes the images that components of modules run in: a Containerfile on the base, once for all who ask for it.

What it may say is what a repository's Dockerfile may, and it begins with the base, and nothing else. Debian's packages
are those of an `apt.txt` beside it, which `RUN sh /run/asked/system.sh` installs. No credential of the host has a part
in it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from binder.errors import BinderError, OperatorFault, RepositoryFault
from binder.uses import mark_used, named
from build.buildah import Network
from build.container_faults import explain_containerfile
from build.host import step_mounts
from build.images import Record, name_of, write_record
from build.log import BuildLog
from build.plan import BEGINNING_OF_TIME, Layer, Namespaces, base_layer, in_namespace, module_layer
from build.recipes.apt import packages_of
from build.recipes.containerfile import Containerfile, read_containerfile
from build.recipes.debian import PYTHON_OF_SUITE
from build.recipes.recipe import Recipe
from build.recipes.requirements import text_of
from build.system_faults import explain_system
from build.tools import Tools
from modules.binding import Chosen
from modules.bound import Bound
from modules.catalogue import REPOSITORY
from modules.definition import Image, Module
from modules.reading import digest_of_files
from templates import render

_BASE = "base"
"""The name of our base in a module's Containerfile, and the value of its argument BASE."""

_CONTAINERFILE, _PACKAGES = "Containerfile", "apt.txt"
_STEP = "modules"
_BY_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class WantedImage:
    """An image of a module: the files of its folder (path → content), and what it lies on.

    `place` is the folder as faults name it.
    """

    module: Module
    name: str
    layer: Layer
    base: Layer
    suite: str
    files: Mapping[str, bytes]
    place: str

    @property
    def is_own(self) -> bool:
        """Whether the repository itself brings it."""
        return self.module.origin == REPOSITORY

    @property
    def packages(self) -> Mapping[str, int]:
        """The packages of Debian that it wants, each with its line.

        Raises: RepositoryFault, with the line.
        """
        text = self.files.get(_PACKAGES)
        return {} if text is None else packages_of(f"{self.place}/{_PACKAGES}", text_of(text))

    def containerfile(self, repository: str, base: str) -> Containerfile:
        """Return what is built of it on the image `base`; `repository` is that of our images.

        Raises: RepositoryFault, with the line.
        """
        path, text = f"{self.place}/{_CONTAINERFILE}", text_of(self.files[_CONTAINERFILE])
        file = read_containerfile(path, text, own=repository, links=(), ids={_BASE: base}, arguments={"BASE": _BASE})
        for other, line in file.images.items():
            if other != _BASE:
                raise RepositoryFault(
                    f"{path} line {line} wants the image {other}. The image of a module begins with `${{BASE}}`.",
                    file=path,
                    line=line,
                )
        return file


def wanted_image(module: Module, image: Image, default_suite: str, namespace: str = "") -> WantedImage | None:
    """Return an image of a module that is to be made, in a namespace; None where it is one of a registry.

    Raises: RepositoryFault.
    """
    if image.folder is None:
        return None
    suite, place = image.suite or default_suite, f"{module.folder}/{image.folder}"
    if suite not in PYTHON_OF_SUITE:
        known = ", ".join(PYTHON_OF_SUITE)
        raise RepositoryFault(f"{place} begins with Debian {suite}; there are {known}.", file=place)
    start = f"{image.folder}/"
    files = {path.removeprefix(start): data for path, data in module.files.items() if path.startswith(start)}
    base = base_layer(suite)
    layer = module_layer(base, digest_of_files(files), has_packages=_PACKAGES in files)
    return WantedImage(module, image.name, in_namespace(namespace, layer), base, suite, files, place)


class ModuleImages:
    """Makes images of modules. `suite` is the Debian release of those that name none."""

    def __init__(self, tools: Tools, network: Network, *, suite: str) -> None:
        self._tools = tools
        self._network: Network = network
        self._suite = suite

    async def bound(self, recipe: Recipe, namespaces: Namespaces, notes: BuildLog, work: Path) -> tuple[Bound, ...]:
        """Return the modules of a recipe with their images, which are made where they are not there.

        Raises: BinderError.
        """
        if not recipe.modules:
            return ()
        notes.heading(f"Modules: {', '.join(map(_said, recipe.modules))}")
        if recipe.containerfile and any(one.module.client.python for one in recipe.modules):
            notes.line(f"{recipe.containerfile} says what the image holds: it gets no packages of their clients.")
        found: dict[tuple[str, str], str] = {}
        for one in recipe.modules:
            for image in one.images:
                found[one.module.name, image.name] = await self._reference(one.module, image, namespaces, notes, work)
        return tuple(one.bound(lambda module, image: found[module.name, image.name]) for one in recipe.modules)

    async def _reference(
        self, module: Module, image: Image, namespaces: Namespaces, notes: BuildLog, work: Path
    ) -> str:
        with _fault_of(module):
            # What a fork brings is kept apart; what is everybody's it takes, and adds to: no line of it runs there.
            is_apart = module.origin == REPOSITORY and not namespaces.is_trusted
            wanted = wanted_image(module, image, self._suite, namespaces.kept if is_apart else "")
            if wanted is None:
                return image.reference or ""
            await mark_used(self._tools.buildah.paths, [wanted.layer.tag])
            async with self._tools.alone.at(wanted.layer.tag):
                if wanted.layer not in await self._tools.images.present([wanted.layer]):
                    await self._make(wanted, notes, work)
            return name_of(self._tools.images, wanted.layer)

    async def _make(self, wanted: WantedImage, notes: BuildLog, work: Path) -> None:
        base, packages = name_of(self._tools.images, wanted.base), wanted.packages
        file = wanted.containerfile(self._tools.images.repository, base)
        if packages and wanted.is_own and self._network == "none":
            raise OperatorFault(
                f"{wanted.place}/{_PACKAGES} asks for packages of Debian, and what a repository builds has no network "
                "here (BINDER_BUILD_NETWORK)."
            )
        await self._tools.foundations.lay_base(wanted.suite, notes)
        notes.heading(f"Making the image {wanted.name} of the module {wanted.module.name} {wanted.module.version}")
        began = monotonic()
        folder = work / wanted.layer.tag
        given, context, written = folder / "given", folder / "context", folder / _CONTAINERFILE
        for path in (folder, given, context):
            path.mkdir(mode=0o755)
        script = render("build/system.sh", suite=wanted.suite, packages=tuple(packages), preferred=())
        (given / "system.sh").write_text(script, encoding="utf-8")
        _write(context, wanted.files)
        written.write_text(file.text, encoding="utf-8")

        def explain(output: str) -> BinderError | None:
            fault = explain_system(output, f"{wanted.place}/{_PACKAGES}", packages)
            return fault or explain_containerfile(output, file)

        paths = self._tools.buildah.paths
        wheels = (paths.wheels(with_credentials=False), "/run/packages", "O")
        await self._tools.buildah.make(
            name_of(self._tools.images, wanted.layer),
            written,
            context,
            mounts=step_mounts(self._tools.host, paths, given, wheels, (paths.public_apt, "/run/apt", "ro")),
            created=BEGINNING_OF_TIME,
            step=_STEP,
            take=notes.take,
            explain=explain,
            network=self._network if wanted.is_own else "host",
            arguments={"BASE": _BASE},
        )
        await self._tools.images.keep(wanted.layer)
        await write_record(self._tools.texts, wanted.layer, Record(seconds=round(monotonic() - began, 3)))


def _said(one: Chosen) -> str:
    return f"{one.module.title} {one.module.version} ({one.mode})"


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder; one that begins as a script does is executable."""
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(0o755 if content.startswith(b"#!") else 0o644)


@contextmanager
def _fault_of(module: Module) -> Iterator[None]:
    """Say whose fault it is that an image cannot be made: a repository's, of its own modules alone."""
    try:
        yield
    except RepositoryFault as error:
        if module.origin == REPOSITORY:
            raise
        place = f"{error.place}: " if error.place else ""
        raise OperatorFault(
            f"The module {module.name} {module.version} ({module.origin}) cannot be made: {place}{error.message}"
        ) from error


def module_layers(modules: Sequence[Bound], repository: str) -> frozenset[Layer] | None:
    """Return the layers of the images of modules that were made for `repository`; others are known by their digests.

    None, where one is neither.
    """
    images = {component.image for module in modules for component in module.components if component.image}
    ours = {image: named(image) for image in images if not _BY_DIGEST.search(image)}
    if any(not image.startswith(f"{repository}:") or not of or of[0] != "module" for image, of in ours.items()):
        return None
    return frozenset(Layer("module", of[1]) for of in ours.values() if of)
