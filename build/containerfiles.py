"""Builds a repository's own Dockerfile: what may be built of it, written anew, on images that were looked at before.

It is code of the repository's from the first line to the last: it gets no credential of the host's, neither for
packages nor for registries, and no network where the operator gives none.
"""

import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from binder.containers import engine_home
from binder.errors import BinderError
from binder.paths import Paths
from binder.uses import using_foreign_images
from build.buildah import Buildah, Network
from build.commits.commit import Commit
from build.commits.content import Tar
from build.commits.tree import LINK
from build.container_faults import explain_containerfile, explain_pull
from build.host import HostSettings
from build.images import Images, Record, Texts, name_of, read_record, write_record
from build.inventory import packages_in
from build.log import BuildLog
from build.plan import Layer, template
from build.recipes.containerfile import (
    BUILD_ARGUMENTS,
    Containerfile,
    check_triggers,
    in_own_layers,
    read_containerfile,
)
from build.recipes.image_names import pulled_images

_UNPACK = """
set -eu
mkdir "$2/context"
tar -xf "$1" -C "$2/context" --strip-components=2 --no-same-owner
shift 2
exec "$@"
"""


@dataclass(frozen=True)
class Asked:
    """A Dockerfile of a commit: where it is, its text, where its ignore file is, and what the image says of itself.

    Only those of the same `namespace` share the layers of steps.
    """

    path: str
    text: str
    ignore: str | None
    labels: Mapping[str, str]
    namespace: str = ""


def _exports(paths: Paths, host: HostSettings) -> str:
    """Return what lets images be loaded as this host loads things, and as nobody: a Dockerfile could name any image."""
    variables = {name: value for name, value in host.variables.items() if name.upper().endswith("_PROXY")}
    variables["REGISTRY_AUTH_FILE"] = str(engine_home(paths) / "no-auth.json")
    if host.certificates:
        variables["SSL_CERT_FILE"] = str(paths.tools / "certificates.pem")
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


class Containerfiles:
    """Builds Dockerfiles."""

    def __init__(self, buildah: Buildah, images: Images, texts: Texts, host: HostSettings, network: Network) -> None:
        self._buildah = buildah
        self._exports = _exports(buildah.paths, host)
        self._images = images
        self._texts = texts
        self._network: Network = network

    async def build(
        self,
        layer: Layer,
        asked: Asked,
        commit: Commit,
        archive: Callable[[], Awaitable[Tar]],
        notes: BuildLog,
        work: Path,
    ) -> None:
        """Make the image of a commit whose Dockerfile says how.

        Raises: BinderError.
        """
        links = frozenset(path for path, entry in commit.files.items() if entry.mode == LINK)
        own = self._images.repository
        file = read_containerfile(asked.path, asked.text, own=own, links=links)
        async with using_foreign_images(self._buildah.paths):
            file = in_own_layers(await self._on_pulled(file, asked, own, links, notes), asked.namespace)
            notes.heading(f"Building {asked.path}")
            tar = await archive()
            folder = self._buildah.own_folder(work / "containerfile")
            written = work / "Containerfile"
            written.write_text(file.text, encoding="utf-8")
            argv = self._buildah.build_command(self._network)
            # Docker's format keeps what OCI's has no place for: SHELL, HEALTHCHECK and ONBUILD.
            argv += [
                "--pull-never",
                f"--layers={str(file.is_known_by_its_words).lower()}",
                "--format",
                "docker",
                "--tag",
                name_of(self._images, layer),
            ]
            argv += ["--ignorefile", str(folder / "context" / asked.ignore) if asked.ignore else "/dev/null"]
            argv += [f"--build-arg={name}={value}" for name, value in BUILD_ARGUMENTS.items()]
            argv += [f"--label={name}={value}" for name, value in asked.labels.items()]
            argv += ["--file", str(written), str(folder / "context")]

            def explain(output: str) -> BinderError | None:
                return explain_containerfile(output, file)

            script = (_UNPACK, str(tar.path), str(folder), *argv)
            await self._buildah.run_script(*script, step="image", take=notes.take, explain=explain)
        await self._images.keep(layer)

    async def packages_in(self, layer: Layer, digest: str, notes: BuildLog) -> Sequence[Sequence[str]] | None:
        """Return what an image that is there holds ([type, name, version]); None where it cannot be listed.

        Raises: BinderError, where the list cannot be kept.
        """
        known = await read_record(self._texts, layer)
        # An image that was removed and made again is another one: a Dockerfile's steps give what is new by then.
        if known.listed_of == digest:
            return known.packages
        try:
            await self._images.bring(layer)
            packages = await packages_in(self._buildah, name_of(self._images, layer), notes.take)
        except BinderError as error:
            notes.line(f"The list of the image's packages could not be made. {error.message}")
            return None
        await write_record(self._texts, layer, Record(packages=packages, listed_of=digest))
        return packages

    async def _on_pulled(
        self, file: Containerfile, asked: Asked, own: str, links: frozenset[str], notes: BuildLog
    ) -> Containerfile:
        """Load the images that a Dockerfile names, and return it with what was loaded in their place."""
        if not file.images:
            return file
        notes.heading(f"Loading {', '.join(file.images)}")
        lines: list[str] = []

        async def take(line: str) -> None:
            lines.append(line)
            await notes.take(line)

        def explain(output: str) -> BinderError:
            wanted = [line.removeprefix("--- wanted: ") for line in lines if line.startswith("--- wanted: ")]
            return explain_pull(output, file, wanted[-1] if wanted else next(iter(file.images)))

        await self._buildah.run_script(
            self._exports + template("pull.sh"), *file.images, step="image", take=take, explain=explain
        )
        pulled = pulled_images(lines)
        for name, image in pulled.items():
            check_triggers(asked.path, file.images.get(name, 1), name, image.triggers, own=own, links=links)
        ids = {name: image.id for name, image in pulled.items()}
        return read_containerfile(asked.path, asked.text, own=own, links=links, ids=ids)
