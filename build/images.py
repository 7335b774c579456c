"""Where images are kept: in the storage of this machine's engine, or in a registry that many machines share.

An image is known by its layer's tag. Besides images, small texts are kept: locks, and records of what was measured and
listed when an image was made.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Protocol

from binder.errors import BinderError, WorldFault
from binder.paths import Paths
from build.buildah import Buildah
from build.commits.content import Tar
from build.delta import Made
from build.plan import Layer
from build.registries.oci import ConfigChange, blob_path, layout_files
from build.registries.registry import Registry

LOCAL = "localhost/binder"
_MOST_CONFIGS = 64
_MOST_RECORDS = 32
_TEXT = "application/vnd.binder.text.v1"
_PULL = """
set -eu
# Buildah also names what it pulls after the folder: a name that is the same each time, and is nobody's image. What it
# says that it pulled it looks up by that name, and somebody else may have pulled another one meanwhile: so the image is
# known by its id, which is its configuration's digest.
cd "$1"
buildah pull --quiet oci:layout >/dev/null
buildah tag "$2" "$3"
"""


@dataclass(frozen=True)
class Record:
    """What is known of an image that was made: the time and the bytes of its own layer, and what is in it.

    `family` is shared by environments that differ only in packages.
    `depth` counts the deltas of an environment, `pins` are its packages of
    PyPI; `packages` are all of the image's ([type, name, version]), None
    where nobody listed them. `listed_of` is the digest of that image, where
    it may be made again with others.
    """

    seconds: float | None = None
    size_bytes: int | None = None
    family: str | None = None
    depth: int = 0
    pins: Mapping[str, str] = field(default_factory=dict)
    packages: Sequence[Sequence[str]] | None = None
    listed_of: str | None = None


class Images(Protocol):
    """Keeps images by their layers."""

    repository: str
    """What stands before the tag in an image's name."""

    async def present(self, layers: Iterable[Layer]) -> dict[Layer, str]:
        """Return the digests of those of the layers whose images are there."""
        ...

    async def append(self, parent: Layer, layer: Layer, archive: Tar, change: ConfigChange) -> str:
        """Lay an archive on an image that is there, name the new one after `layer`, and return its digest."""
        ...

    async def bring(self, layer: Layer) -> None:
        """See that Buildah has the image of a layer that is there."""
        ...

    async def keep(self, layer: Layer) -> None:
        """Keep the image of a layer that Buildah has made."""
        ...


class Texts(Protocol):
    """Keeps small texts by a tag."""

    async def read(self, tag: str) -> str | None:
        """Return a text, or None where there is none of that tag."""
        ...

    async def write(self, tag: str, text: str) -> None:
        """Keep a text."""
        ...


def name_of(images: Images, layer: Layer) -> str:
    """Return the name by which engines know the image that ends with a layer."""
    return f"{images.repository}:{layer.tag}"


async def read_record(texts: Texts, layer: Layer) -> Record:
    """Return what is known of a layer: nothing, where nobody wrote it down."""
    return _record_in(await texts.read(f"record-{layer.tag}"))


def _record_in(text: str | None) -> Record:
    """Return what a text says, as far as we know it: another version of ours may have written it."""
    known = {one.name for one in fields(Record)}
    return Record(**{name: value for name, value in json.loads(text or "{}").items() if name in known})


async def write_record(texts: Texts, layer: Layer, record: Record) -> None:
    """Keep what is known of a layer."""
    await texts.write(f"record-{layer.tag}", json.dumps(asdict(record)))


class LocalImages:
    """Images in the storage that the engine of this machine runs."""

    repository = LOCAL

    def __init__(self, buildah: Buildah) -> None:
        self._buildah = buildah
        self._configs: dict[str, bytes] = {}

    async def present(self, layers: Iterable[Layer]) -> dict[Layer, str]:
        """Return the digests of those of the layers whose images are there."""
        there = await self._buildah.images()
        return {layer: there[name] for layer in layers if (name := name_of(self, layer)) in there}

    async def append(self, parent: Layer, layer: Layer, archive: Tar, change: ConfigChange) -> str:
        """Lay an archive on an image, without a container: an OCI layout that holds but the new layer is pulled.

        Raises: BinderError.
        """
        if name_of(self, parent) in self._configs:
            with suppress(BinderError):  # it may have been made again meanwhile, by another service too
                return await self._append(parent, layer, archive, change)
            del self._configs[name_of(self, parent)]
        return await self._append(parent, layer, archive, change)

    async def _append(self, parent: Layer, layer: Layer, archive: Tar, change: ConfigChange) -> str:
        config = await self._config(name_of(self, parent))
        composed, files = layout_files(config, f"sha256:{archive.sha256}", archive.size_bytes, change)
        folder = archive.path.with_suffix(".oci")
        await asyncio.to_thread(_write_layout, folder / "layout", files, archive)
        image_id = composed.config_digest.removeprefix("sha256:")
        await self._buildah.run_script(_PULL, str(folder), image_id, name_of(self, layer), step="content", take=None)
        return composed.manifest_digest

    async def _config(self, name: str) -> bytes:
        """Return an image's configuration, which is looked up once."""
        if name not in self._configs:
            while len(self._configs) >= _MOST_CONFIGS:
                self._configs.pop(next(iter(self._configs)))
            self._configs[name] = await self._buildah.config(name)
        return self._configs[name]

    async def bring(self, layer: Layer) -> None:
        """Do nothing: what is there is where Buildah is."""

    async def keep(self, layer: Layer) -> None:
        """Do nothing: what Buildah makes is kept; what was known of an earlier image of the name is not."""
        self._configs.pop(name_of(self, layer), None)


def _write_layout(layout: Path, files: Mapping[str, bytes], archive: Tar) -> None:
    shutil.rmtree(layout, ignore_errors=True)
    for path, content in files.items():
        (layout / path).parent.mkdir(parents=True, exist_ok=True)
        (layout / path).write_bytes(content)
    (layout / blob_path(f"sha256:{archive.sha256}")).hardlink_to(archive.path)
    archive.path.chmod(0o644)


class LocalTexts:
    """Texts in files of the cache, which other services of this machine may use too."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    async def read(self, tag: str) -> str | None:
        """Return a text, or None where there is none of that tag."""
        path = self._paths.locks / tag
        try:
            text = path.read_text(encoding="utf-8")
            os.utime(path)  # what is read is not garbage
        except FileNotFoundError:
            return None
        return text

    async def write(self, tag: str, text: str) -> None:
        """Keep a text."""
        # Another service may be at it too; and what begins with a dot is nobody's text yet.
        new = self._paths.locks / f".{tag}.{self._paths.instance}"
        new.write_text(text, encoding="utf-8")
        new.replace(self._paths.locks / tag)

    def environments(self) -> list[Made]:
        """Return the environments that were made last, as far as it was written down."""
        files = sorted(self._paths.locks.glob("record-environment-*"), key=_changed_at, reverse=True)
        found = ((path, _record_in(_text_of(path))) for path in files[:_MOST_RECORDS])
        return [
            Made(path.name.removeprefix("record-environment-"), record.family, record.pins, record.depth)
            for path, record in found
            if record.family
        ]

    def tags(self, prefix: str) -> list[str]:
        """Return the tags that begin so, the oldest first."""
        return [path.name for path in sorted(self._paths.locks.glob(f"{prefix}*"), key=_changed_at)]

    def forget(self, tag: str) -> None:
        """Keep a text no longer."""
        (self._paths.locks / tag).unlink(missing_ok=True)


# Another service may collect garbage meanwhile.
def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


class RegistryImages:
    """Images in a registry. Buildah's storage is only where environments are made; content never passes through it."""

    def __init__(self, registry: Registry, buildah: Buildah) -> None:
        self.repository = registry.reference
        self._registry = registry
        self._buildah = buildah

    async def present(self, layers: Iterable[Layer]) -> dict[Layer, str]:
        """Return the digests of those of the layers whose images are there."""
        wanted = list(layers)
        found = await asyncio.gather(*(self._registry.digest(layer.tag) for layer in wanted))
        return {layer: digest for layer, digest in zip(wanted, found, strict=True) if digest}

    async def append(self, parent: Layer, layer: Layer, archive: Tar, change: ConfigChange) -> str:
        """Lay an archive on an image, over HTTP: nothing of the image is fetched but what names its parts.

        Raises: BinderError.
        """
        diff_id = f"sha256:{archive.sha256}"
        appended = await self._registry.append(parent.tag, archive.path, diff_id, archive.size_bytes, change, layer.tag)
        if appended is None:
            raise WorldFault("The image to lay files on was removed from the registry meanwhile.")
        return appended.digest

    async def bring(self, layer: Layer) -> None:
        """Pull the image of a layer.

        Raises: BinderError.
        """
        await self._buildah.pull(name_of(self, layer))

    async def keep(self, layer: Layer) -> None:
        """Push the image of a layer, and see that it arrived.

        Raises: BinderError.
        """
        await self._buildah.push(name_of(self, layer))
        if await self._registry.digest(layer.tag) is None:
            raise WorldFault("The registry does not have the image that was pushed to it.")


class RegistryTexts:
    """Texts in a registry. A copy here is as good: a lock never changes, and an old record costs only its numbers."""

    def __init__(self, registry: Registry, near: Texts) -> None:
        self._registry = registry
        self._near = near

    async def read(self, tag: str) -> str | None:
        """Return a text, or None where there is none of that tag."""
        if (text := await self._near.read(tag)) is not None:
            return text
        found = await self._registry.artifact(tag)
        if found is None:
            return None
        text = found.decode(errors="replace")
        await self._near.write(tag, text)
        return text

    async def write(self, tag: str, text: str) -> None:
        """Keep a text."""
        await self._near.write(tag, text)
        await self._registry.put_artifact(tag, text.encode(), _TEXT)
