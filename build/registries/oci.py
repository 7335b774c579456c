"""Images as OCI writes them down: manifests, configurations and layouts, composed without any tool.

A layer is laid on an image by writing a new configuration and a new manifest: the layers below are named, never read.
The same inputs give the same bytes. How the bytes get into a registry is `registry`'s, how they get into a local store
is Buildah's.

Source: https://github.com/opencontainers/image-spec/tree/v1.1.0
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from binder.errors import WorldFault

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_GZIP_LAYER = f"{OCI_LAYER}+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_INDEX)

_AS_OCI = {
    "application/vnd.docker.container.image.v1+json": OCI_CONFIG,
    "application/vnd.docker.image.rootfs.diff.tar": OCI_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": OCI_GZIP_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": f"{OCI_LAYER}+zstd",
}
_EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
_DIGEST = re.compile(r"\Asha256:[0-9a-f]{64}\Z")
# A layer that is in the store already is never asked for its size, but a size there must be.
_SIZE_OF_NOTHING_READ = 1

Unreadable = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading foreign JSON may raise."""


@dataclass(frozen=True)
class Descriptor:
    """What names a blob: its media type, its digest (`sha256:…`) and its size in bytes."""

    media_type: str
    digest: str
    size: int

    def as_json(self) -> dict[str, object]:
        """Return it as OCI writes it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Image:
    """What an image's manifest names, in OCI's media types: its configuration, and its layers from the bottom up."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True)
class ConfigChange:
    """What an image says about itself from now on; what is None, and what is not named, stays as it was.

    `created` is in seconds of the epoch, and `created_by` is the line that the image's history gets. `exposed_ports`
    are like `8888/tcp`. Labels and variables are added to those that are there, and win over them.
    """

    created: int
    created_by: str
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    exposed_ports: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Composed:
    """An image that was written down: two documents, and the digest of each. The image's digest is the manifest's."""

    manifest: bytes
    manifest_digest: str
    config: bytes
    config_digest: str


def digest_of_bytes(data: bytes) -> str:
    """Return the digest of a blob, as OCI writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_digest(text: str) -> bool:
    """Whether `text` has the form of a digest, of the only kind that is used here."""
    return bool(_DIGEST.match(text))


def read_image(manifest: bytes) -> Image:
    """Return what the manifest of an image names, with Docker's media types read as OCI's.

    Raises: WorldFault, where it is none, or is an index of several.
    """
    try:
        tree = json.loads(manifest)
        if tree["schemaVersion"] != 2 or tree.get("mediaType", OCI_MANIFEST) not in MANIFESTS:
            raise ValueError("a manifest of another kind")
        return Image(_read_descriptor(tree["config"]), tuple(map(_read_descriptor, tree["layers"])))
    except Unreadable as error:
        raise WorldFault("What should be the manifest of an image is none that can be built on.") from error


def _read_descriptor(tree: Mapping[str, Any]) -> Descriptor:
    media_type, digest, size = str(tree["mediaType"]), str(tree["digest"]), int(tree["size"])
    if not is_digest(digest) or size < 0:
        raise ValueError(f"no descriptor: {digest[:100]!r}")
    return Descriptor(_AS_OCI.get(media_type, media_type), digest, size)


def digest_for_platform(index: bytes, *, os: str = "linux", architecture: str = "amd64") -> str:
    """Return the digest of the manifest that an index has for a platform.

    Raises: WorldFault, where it has none.
    """
    try:
        for entry in json.loads(index)["manifests"]:
            platform = entry.get("platform") or {}
            if (platform.get("os"), platform.get("architecture")) == (os, architecture):
                return _read_descriptor(entry).digest
    except Unreadable as error:
        raise WorldFault("What should be an index of images is none that can be read.") from error
    raise WorldFault(f"The image is not there for {os}/{architecture}.")


def append_layer(
    parent_manifest: bytes, parent_config: bytes, layer: Descriptor, diff_id: str, change: ConfigChange
) -> Composed:
    """Return the image that has one layer more than its parent; `diff_id` is the digest of the layer's plain tar.

    Raises: WorldFault, where the parent is no image, or its two documents do not belong together.
    """
    parent = read_image(parent_manifest)
    if parent.config.digest != digest_of_bytes(parent_config):
        raise WorldFault("The configuration of the image to build on is not the one that its manifest names.")
    if len(_diff_ids_of(parent_config)) != len(parent.layers):
        raise WorldFault("The image to build on has another number of layers than it says.")
    return _compose([*parent.layers, layer], _config_after(parent_config, diff_id, change))


def layout_files(
    parent_config: bytes, layer_digest: str, layer_bytes: int, change: ConfigChange
) -> tuple[Composed, dict[str, bytes]]:
    """Return an image with one plain layer more than its parent, and the files (path → content) of an OCI layout that
    brings it into a store which has the parent's layers.

    The layer's tar itself is to be put at `blob_path(layer_digest)`; nothing else is read when the layout is pulled.
    Layers are named by their plain digests, which a store knows however it came by them.
    Raises: WorldFault.
    """
    below = [Descriptor(OCI_LAYER, digest, _SIZE_OF_NOTHING_READ) for digest in _diff_ids_of(parent_config)]
    layer = Descriptor(OCI_LAYER, layer_digest, layer_bytes)
    composed = _compose([*below, layer], _config_after(parent_config, layer_digest, change))
    named = Descriptor(OCI_MANIFEST, composed.manifest_digest, len(composed.manifest))
    return composed, {
        "oci-layout": _written({"imageLayoutVersion": "1.0.0"}),
        "index.json": _written({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [named.as_json()]}),
        blob_path(composed.manifest_digest): composed.manifest,
        blob_path(composed.config_digest): composed.config,
    }


def blob_path(digest: str) -> str:
    """Return where an OCI layout keeps a blob."""
    return f"blobs/{digest.replace(':', '/', 1)}"


def artifact(data: bytes, artifact_type: str) -> tuple[bytes, bytes]:
    """Return the manifest that stands for one small document of ours, and the configuration that it names.

    Source: https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md#guidelines-for-artifact-usage
    """
    config = b"{}"
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": Descriptor(_EMPTY_CONFIG, digest_of_bytes(config), len(config)).as_json(),
        "layers": [Descriptor(artifact_type, digest_of_bytes(data), len(data)).as_json()],
    }
    return _written(manifest), config


def _compose(layers: list[Descriptor], config: bytes) -> Composed:
    described = Descriptor(OCI_CONFIG, digest_of_bytes(config), len(config))
    manifest = _written(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": described.as_json(),
            "layers": [layer.as_json() for layer in layers],
        }
    )
    return Composed(manifest, digest_of_bytes(manifest), config, described.digest)


def _diff_ids_of(config: bytes) -> list[str]:
    try:
        found = [str(diff_id) for diff_id in json.loads(config)["rootfs"]["diff_ids"]]
    except Unreadable as error:
        raise WorldFault("The image to build on has no configuration that can be read.") from error
    if not all(map(is_digest, found)):
        raise WorldFault("The image to build on names its layers in a way that is not known.")
    return found


def _config_after(parent: bytes, diff_id: str, change: ConfigChange) -> bytes:
    diff_ids = _diff_ids_of(parent)
    created = datetime.fromtimestamp(change.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        config = json.loads(parent)
        config["created"] = created
        config["rootfs"] = {"type": "layers", "diff_ids": [*diff_ids, diff_id]}
        config["history"] = [*(config.get("history") or ()), {"created": created, "created_by": change.created_by}]
        config["config"] = _settings_after(config.get("config") or {}, change)
    except Unreadable as error:
        raise WorldFault("The image to build on has a configuration that cannot be read.") from error
    return _written(config)


def _settings_after(parent: Mapping[str, Any], change: ConfigChange) -> dict[str, Any]:
    settings = dict(parent)
    if change.entrypoint is not None:
        settings["Entrypoint"] = list(change.entrypoint)
    if change.cmd is not None:
        settings["Cmd"] = list(change.cmd)
    if change.exposed_ports:
        settings["ExposedPorts"] = {**(parent.get("ExposedPorts") or {}), **{port: {} for port in change.exposed_ports}}
    if change.labels:
        settings["Labels"] = {**(parent.get("Labels") or {}), **change.labels}
    if change.env:
        there = dict(entry.partition("=")[::2] for entry in parent.get("Env") or ())
        settings["Env"] = [f"{name}={value}" for name, value in {**there, **change.env}.items()]
    return settings


def _written(tree: object) -> bytes:
    return json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()
