"""Machines of a test's own: their engines know nothing of each other's images, nor of those of the common one."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from binder.containers import prepare_engine
from binder.paths import Paths
from binder.process import capture
from binder.service.builder import registries_of
from binder.settings import read_settings
from build.host import HostSettings
from build.images import LOCAL, LocalTexts, read_record, write_record
from build.plan import Layer, base_layer
from tests.builds import Builder, new_builder

_COPY = 'buildah push --quiet "$1" "containers-storage:[overlay@$2+$3]$1"'


async def new_machine(
    folder: Path,
    like: Builder,
    *,
    host: HostSettings | None = None,
    has: Iterable[Layer] = (),
    shares_packages: bool = True,
    **settings: object,
) -> Builder:
    """Make a machine in a new folder, which `has` some images of another and what is known of them, and nothing else.

    `shares_packages` spares it downloads: what was downloaded there counts as downloaded here.
    """
    folder.mkdir()
    folder.chmod(0o711)
    paths = Paths(folder / "state", folder / "cache")
    if shares_packages:
        paths.cache.mkdir()
        paths.packages.symlink_to(like.paths.packages)
    paths.make(like.account)
    await prepare_engine(paths, like.account, registries_of(read_settings(**settings)))
    machine = await new_builder(paths, like.account, host or like.host, settings)
    for layer in has:
        await _copy(layer, like, machine)
    return machine


async def _copy(layer: Layer, like: Builder, machine: Builder) -> None:
    engine = machine.paths.engine
    places = [f"{LOCAL}:{layer.tag}", str(engine / "storage"), str(engine / "run/containers")]
    await like.buildah.run_script(_COPY, *places, step="copy", take=None)
    known = await read_record(LocalTexts(like.paths), layer)
    # However it was made there: here nothing was exchanged yet.
    await write_record(LocalTexts(machine.paths), layer, replace(known, depth=0))


async def remove_machine(machine: Builder) -> None:
    """Remove what only the account of builds can, in its namespaces."""
    await machine.wired.close()
    cache = machine.paths.cache
    packages = [] if machine.paths.packages.is_symlink() else [*machine.paths.packages.glob("*")]
    folders = [cache / "engine/storage", *packages]
    script = 'chmod -R u+rwX "$@"; rm -rf -- "$@"'
    await machine.buildah.run_script(script, *map(str, folders), step="end", take=None)


def the_base() -> Layer:
    """Return the layer that every machine begins with."""
    return base_layer(read_settings().debian_suite)


async def said_by_buildah(machine: Builder, *arguments: str) -> str:
    """Run Buildah on a machine and return what it printed."""
    command = machine.buildah.command(["buildah", *arguments])
    code, output = await capture(command, timeout_seconds=30, most_bytes=2**24)
    assert code == 0, output
    return output.decode()
