"""The lowest layer: a Debian release, bootstrapped from packages, with no registry at all."""

from collections.abc import Awaitable, Callable, Sequence

from build.buildah import Buildah
from build.host import base_sources
from build.system_faults import explain_base
from templates import source_path


async def make_base(
    buildah: Buildah, image: str, suite: str, packages: Sequence[str], take: Callable[[str], Awaitable[None]]
) -> None:
    """Bootstrap a Debian release with some packages into an image; `take` is given each line that is printed.

    Raises: BinderError.
    """
    script = source_path("build/base.sh").read_text(encoding="utf-8")
    sources, options = base_sources(buildah.paths, suite), buildah.paths.apt / "apt-host.conf"
    arguments = (image, suite, ",".join(packages), sources, str(options))
    await buildah.run_script(script, *arguments, step="base image", take=take, explain=explain_base)
