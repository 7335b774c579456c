"""The images that a cluster runs us from: the service itself, the builder of its Jobs, and a small PostgreSQL.

Owns what is in them, in which order it is laid, and under which key each layer is found again: a digest of all that
goes into it, as for everybody's images. Debian's release is the one whose Python our locked packages are for. Where the
wheel and the lock come from is the caller's to say.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from binder.errors import BinderError, OperatorFault
from binder.hosts import DEBIAN
from binder.names import digest_of
from build.base import make_base
from build.buildah import Buildah
from build.host import HostSettings, step_mounts
from build.plan import BASE_PACKAGES, BEGINNING_OF_TIME, base_layer
from build.system_faults import explain_system
from templates import render, source_path

Name = Literal["service", "builder", "database"]

SUITE = "bookworm"
_POSTGRESQL = "15"
_SERVICE_PACKAGES = ("catatonit", "git-lfs", "haproxy")
_BUILDER_PACKAGES = ("buildah", "catatonit", "git-lfs", "libcap2-bin", "mmdebstrap", "runc", "uidmap")
_HERE = "localhost/binder-own"


@dataclass(frozen=True)
class Step:
    """A layer: the instructions that make it (a template of a Containerfile), and the files that they are given.

    `parent` is None for the lowest one, which Debian's packages are bootstrapped to.
    """

    name: str
    parent: "Step | None"
    containerfile: str = ""
    files: Mapping[str, bytes] | None = None

    @property
    def key(self) -> str:
        """What stands for all that goes into the image that ends with this layer."""
        if self.parent is None:
            return base_layer(SUITE).key
        text = source_path(f"images/{self.containerfile}").read_text(encoding="utf-8")
        files = {name: content.hex() for name, content in (self.files or {}).items()}
        return digest_of("own", self.name, self.parent.key, text, files)

    @property
    def chain(self) -> "tuple[Step, ...]":
        """This layer, and all that it lies on."""
        return (self, *(self.parent.chain if self.parent else ()))

    @property
    def image(self) -> str:
        """The image's name on this machine."""
        return f"{_HERE}:{self.name}-{self.key}"


def image_steps(wheel_name: str, wheel: bytes, requirements: str) -> Mapping[Name, Step]:
    """Return the uppermost layer of each image of ours; `requirements` are its locked packages."""
    base = Step("base", None)
    locked = {
        "dependencies.sh": _text("dependencies.sh"),
        "requirements.txt": requirements.encode(),
    }
    dependencies = Step("dependencies", base, "dependencies.Containerfile", locked)
    serving = Step("serving", dependencies, "packages.Containerfile", _packages(*_SERVICE_PACKAGES))
    tools = _packages(*_BUILDER_PACKAGES) | {"builder.sh": _text("builder.sh")}
    building = Step("building", dependencies, "builder.Containerfile", tools)
    # Whoever runs us on a cluster and names no mirror has Debian's own.
    debian = render("images/debian.sources", suite=SUITE, host=DEBIAN).encode()
    ours = {"service.sh": _text("service.sh"), "debian.sources": debian, wheel_name: wheel}
    postgresql = _packages(f"postgresql-{_POSTGRESQL}") | {"database.sh": _text("database.sh")}
    return {
        "service": Step("service", serving, "service.Containerfile", ours),
        "builder": Step("builder", building, "service.Containerfile", ours),
        "database": Step("database", base, "database.Containerfile", postgresql),
    }


def _text(name: str) -> bytes:
    return source_path(f"images/{name}").read_bytes()


def _packages(*names: str) -> dict[str, bytes]:
    return {"system.sh": render("build/system.sh", suite=SUITE, packages=names, preferred=()).encode()}


class OwnImages:
    """Makes our images with Buildah; what a step is told of this host is gone with it. `work` is an empty folder."""

    def __init__(
        self, buildah: Buildah, host: HostSettings, work: Path, take: Callable[[str], Awaitable[None]]
    ) -> None:
        self._buildah = buildah
        self._host = host
        self._work = work
        self._take = take

    async def make(self, step: Step) -> None:
        """See that the image that ends with a layer is there.

        Raises: BinderError.
        """
        if step.image in await self._buildah.images():
            return
        if step.parent is None:
            await make_base(self._buildah, step.image, SUITE, BASE_PACKAGES, self._take)
            return
        await self.make(step.parent)
        paths, given = self._buildah.paths, self._work / step.name
        given.mkdir(mode=0o755)
        for name, content in (step.files or {}).items():
            (given / name).write_bytes(content)
        file = self._work / f"{step.name}.Containerfile"
        text = render(f"images/{step.containerfile}", parent=step.parent.image, postgresql=_POSTGRESQL)
        file.write_text(text, encoding="utf-8")
        await self._buildah.make(
            step.image,
            file,
            given,
            # Nothing of a repository's runs here.
            mounts=step_mounts(self._host, paths, given, (paths.apt, "/run/apt", "ro"), reads_credentials=True),
            created=BEGINNING_OF_TIME,
            step=step.name,
            take=self._take,
            explain=_explain,
        )

    async def keep_only(self, steps: Iterable[Step]) -> None:
        """Remove what earlier versions left: all images but those that end with some layers, or with one below them.

        Raises: BinderError.
        """
        kept = {below.image for step in steps for below in step.chain}
        if others := sorted(set(await self._buildah.images()) - kept):
            await self._buildah.run_script('buildah rmi "$@" >/dev/null', *others, step="clean-up", take=None)

    async def push(self, step: Step, reference: str) -> None:
        """Push an image to a registry as `reference` (`host/path:tag`).

        Raises: BinderError.
        """
        await self._buildah.run_script('buildah tag "$1" "$2"', step.image, reference, step="registry", take=None)
        await self._buildah.push(reference)


def _explain(output: str) -> BinderError | None:
    fault = explain_system(output, "", {})
    if fault:
        return fault
    last = next((line for line in reversed(output.splitlines()) if line.startswith(("error:", "  ╰─▶"))), None)
    return OperatorFault(f"Our own image could not be made: {last.strip()[:300]}") if last else None
