"""Packages of Debian's from end to end: an apt.txt, and what lies on it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from binder.errors import RepositoryFault
from binder.settings import read_settings
from build.commits.tree import Entry
from build.foundations import foundation_of
from build.images import LOCAL
from build.log import BuildLog, FileLog
from build.recipes.recipe import recipe_for
from tests.build.conftest import Build
from tests.build.machines import new_machine, remove_machine, the_base
from tests.builds import Builder
from tests.repositories import Files, LocalRepository

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]

_APT = "# What the notebooks draw with.\ntree\n"


async def test_a_repository_has_debians_packages_and_pythons(
    builder: Builder, build: Build, make_repository: MakeRepository
) -> None:
    repository = make_repository({"apt.txt": _APT, "requirements.txt": "toolz==0.12.0\n", "data/x.csv": "1"})
    built = await build(repository)
    assert [one.layer.kind for one in built.layers] == ["base", "system", "environment", "content"]
    found = {(kind, name) for kind, name, _ in built.packages or ()}
    assert {("deb", "tree"), ("pypi", "toolz")} <= found
    script = """
        tree --noreport --charset ascii data; python -c 'import toolz; print(toolz.__version__)'; id -un
        find /var/lib/apt/lists /var/cache/apt /tmp -type f -size +0 2>/dev/null; true
    """
    assert await builder.inside(built.image, script) == ["data", "`-- x.csv", "0.12.0", "jovyan"]
    sha = repository.commit({"data/y.csv": "2"})
    again = await build(repository, sha)
    assert (again.way, [one.reused for one in again.layers]) == ("content", [True, True, True, False])


@pytest.mark.parametrize("folder", ["", "binder/"])
async def test_a_package_that_debian_has_not_is_named_with_its_line(
    builder: Builder, make_repository: MakeRepository, folder: str
) -> None:
    repository = make_repository({f"{folder}apt.txt": "# ours\ntree\n\nno-such-package-of-anybody\n"})
    with pytest.raises(RepositoryFault, match="Debian has no package no-such-package-of-anybody") as caught:
        await builder.build(repository.source, repository.git("rev-parse", "HEAD"))
    assert (caught.value.place, caught.value.step) == (f"{folder}apt.txt line 4", "system")


async def test_the_packages_are_the_same_layer_each_time(builder: Builder, reachable_path: Path) -> None:
    machine = await new_machine(reachable_path / "machine", builder, has=[the_base()])
    try:
        digests = [await _laid(machine) for _ in range(2)]
    finally:
        await remove_machine(machine)
    assert digests[0] == digests[1]


async def _laid(machine: Builder) -> str:
    """Lay Debian's packages on the base of a machine, return the digest of the image, and forget it."""
    recipe = recipe_for({"apt.txt": Entry("100644", len(_APT))}, {"apt.txt": _APT}, ("3.11",))
    wanted = foundation_of(read_settings().debian_suite, recipe, ())
    async with machine.work() as work:
        notes = BuildLog(FileLog(work / "log"), secrets=[], most_bytes=2**20)
        try:
            await machine.wired.again._tools.foundations.lay(wanted, recipe, notes, work)
        finally:
            await notes.close()
    name = f"{LOCAL}:{wanted.system.tag}"
    digest = (await machine.buildah.images())[name]
    await machine.forget([name])
    return digest
