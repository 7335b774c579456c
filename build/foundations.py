"""Makes what environments lie on, each once for all that need it: Debian, and the packages of it that are wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from binder.errors import BinderError
from binder.uses import mark_used
from build.alone import Alone
from build.base import make_base
from build.buildah import Buildah, Mount
from build.images import Images, Record, Texts, name_of, write_record
from build.log import BuildLog
from build.plan import (
    BASE_PACKAGES,
    BEGINNING_OF_TIME,
    EVERYBODYS,
    Layer,
    Namespaces,
    base_layer,
    debian_packages,
    in_namespace,
    system_layer,
)
from build.recipes.modules import debian_places
from build.recipes.recipe import Recipe
from build.system_faults import explain_system
from templates import render


@dataclass(frozen=True)
class Foundation:
    """What an environment lies on: Debian's release, its base, and the layer of packages (the base, where none are).

    Those of `preferred` are taken if Debian has them. `with_credentials` says whether those of the host may be used for
    it, and for what lies on it.
    """

    suite: str
    base: Layer
    system: Layer
    packages: Sequence[str]
    preferred: Sequence[str]
    with_credentials: bool = False


def foundation_of(
    suite: str, recipe: Recipe, preferred: Sequence[str], namespaces: Namespaces = EVERYBODYS
) -> Foundation:
    """Return what the environment of a recipe lies on; `preferred` are packages that are taken if Debian has them."""
    base, packages = base_layer(suite), debian_packages(recipe)
    system = system_layer(base, packages, preferred)
    if system != base:
        # Nothing of a repository runs there: a fork's is everybody's too.
        system = in_namespace(namespaces.taken, system)
    return Foundation(suite, base, system, packages, preferred, namespaces.with_credentials)


class Foundations:
    """Makes the lowest layers."""

    def __init__(self, buildah: Buildah, images: Images, texts: Texts, alone: Alone) -> None:
        self._buildah = buildah
        self._paths = buildah.paths
        self._images = images
        self._texts = texts
        self._alone = alone

    async def lay(self, wanted: Foundation, recipe: Recipe, notes: BuildLog, work: Path) -> None:
        """See that Buildah has the foundation.

        Raises: BinderError.
        """
        await mark_used(self._buildah.paths, [wanted.base.tag, wanted.system.tag])
        async with self._alone.at(wanted.system.tag):
            if wanted.system in await self._images.present([wanted.system]):
                await self._images.bring(wanted.system)
                return
            if wanted.system != wanted.base:
                await self._bring_base(wanted.suite, notes)
                await self._add_packages(wanted, recipe, notes, work)
            else:
                await self._make_base(wanted.suite, notes)

    async def lay_base(self, suite: str, notes: BuildLog) -> Layer:
        """See that Buildah has the base of a Debian release, and return it.

        Raises: BinderError.
        """
        base = base_layer(suite)
        await mark_used(self._buildah.paths, [base.tag])
        await self._bring_base(suite, notes)
        return base

    async def _bring_base(self, suite: str, notes: BuildLog) -> None:
        base = base_layer(suite)
        async with self._alone.at(base.tag):
            if base in await self._images.present([base]):
                await self._images.bring(base)
            else:
                await self._make_base(suite, notes)

    async def _make_base(self, suite: str, notes: BuildLog) -> None:
        notes.heading(f"Bootstrapping Debian {suite}, once for this machine")
        began = monotonic()
        base = base_layer(suite)
        await make_base(self._buildah, name_of(self._images, base), suite, BASE_PACKAGES, notes.take)
        await self._keep(base, began)

    async def _add_packages(self, wanted: Foundation, recipe: Recipe, notes: BuildLog, work: Path) -> None:
        notes.heading("Installing Debian's packages")
        began = monotonic()
        given, name = work / "system", name_of(self._images, wanted.base)
        given.mkdir(mode=0o755)
        script = render("build/system.sh", suite=wanted.suite, packages=wanted.packages, preferred=wanted.preferred)
        (given / "system.sh").write_text(script, encoding="utf-8")
        file = work / "system.Containerfile"
        file.write_text(render("build/system.Containerfile", parent=name), encoding="utf-8")

        def explain(output: str) -> BinderError | None:
            asked = debian_places(recipe.modules)
            return explain_system(output, f"{recipe.folder}apt.txt", recipe.system_lines, asked)

        apt = self._paths.apt if wanted.with_credentials else self._paths.public_apt
        mounts: list[Mount] = [(self._paths.tools, "/run/binder", "ro"), (apt, "/run/apt", "ro")]
        await self._buildah.make(
            name_of(self._images, wanted.system),
            file,
            given,
            mounts=[*mounts, (given, "/run/asked", "ro")],
            created=BEGINNING_OF_TIME,
            step="system",
            take=notes.take,
            explain=explain,
        )
        await self._keep(wanted.system, began)

    async def _keep(self, layer: Layer, began: float) -> None:
        await self._images.keep(layer)
        await write_record(self._texts, layer, Record(seconds=round(monotonic() - began, 3)))
