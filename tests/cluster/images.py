"""Small images of one static program each, written straight into a registry."""

import asyncio
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from build.registries.oci import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, digest_of_bytes
from build.registries.registry import Registry

BUSYBOX = "/bin/busybox"
"""Debian's busybox-static."""
_APPLETS = (
    "cat",
    "env",
    "httpd",
    "id",
    "ip",
    "ls",
    "mkdir",
    "mount",
    "nc",
    "nslookup",
    "sh",
    "sleep",
    "touch",
    "unshare",
    "wget",
)
_TAG = "1"


@dataclass(frozen=True)
class SmallImage:
    """What is in an image: a program, other names of it, and what is run. `user` is whom the image runs as."""

    program: Path
    names: Sequence[str]
    entry_point: Sequence[str]
    user: str = "0"


def images_of(programs: Mapping[str, Path]) -> Mapping[str, SmallImage]:
    """Return the images that a cluster wants: name → what is in it."""
    return {
        "coredns": SmallImage(programs["coredns"], [], ["/bin/coredns"]),
        "pause": SmallImage(programs["pause"], [], ["/bin/pause"], "65535"),
    }


BUSYBOX_IMAGE = {"busybox": SmallImage(Path(BUSYBOX), _APPLETS, [], "1000")}
"""What pods of tests run."""


def push_images(images: Mapping[str, SmallImage], place: str) -> None:
    """Bring images into a registry that speaks plain HTTP; `place` is `host:port`, or that and a path.

    Raises: BinderError.
    """

    async def push_all() -> None:
        await asyncio.gather(*(_push(image, f"{place}/{name}") for name, image in images.items()))

    asyncio.run(push_all())


def name_in(place: str, name: str) -> str:
    """Return what a pod calls an image."""
    return f"{place}/{name}:{_TAG}"


async def _push(image: SmallImage, reference: str) -> None:
    layer = _layer(image)
    digest = digest_of_bytes(layer)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": list(image.entry_point), "Env": ["PATH=/bin"], "User": image.user},
            "rootfs": {"type": "layers", "diff_ids": [digest]},
        }
    ).encode()
    described = Descriptor(OCI_CONFIG, digest_of_bytes(config), len(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described.as_json(),
        "layers": [Descriptor(OCI_LAYER, digest, len(layer)).as_json()],
    }
    registry = Registry(reference, plain_http=True)
    try:
        await registry.upload_blob(layer, digest, len(layer))
        await registry.upload_blob(config, described.digest, described.size)
        await registry.put_manifest(_TAG, json.dumps(manifest).encode())
    finally:
        await registry.close()


def _layer(image: SmallImage) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        entry = tarfile.TarInfo(f"bin/{image.program.name}")
        data = image.program.read_bytes()
        entry.size, entry.mode = len(data), 0o755
        tar.addfile(entry, io.BytesIO(data))
        for name in image.names:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, image.program.name
            tar.addfile(entry)
    return packed.getvalue()
