"""What the engine's storage holds: its images with their layers, and on which of them containers run.

Reads the storage's own records, which are replaced as a whole whenever they change, so that looking needs no lock, no
child process and no time. Nothing is ever written here: that is Buildah's and podman's.

Source: https://github.com/containers/storage, `images.go`, `layers.go` and `containers.go`
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from binder.errors import OperatorFault
from binder.uses import tag_of
from build.garbage.choice import StoredImage, StoredLayer

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Stored:
    """The images of a storage, and the ids of those that a container runs on, be it Buildah's or podman's."""

    images: tuple[StoredImage, ...]
    in_containers: frozenset[str]


def stored_in(engine: Path, last_uses: Mapping[str, datetime]) -> Stored:
    """Return what the storage below the engine's folder holds; `last_uses` maps tags to when they were last used.

    Raises: OperatorFault, where its records cannot be read.
    """
    storage = engine / "storage"
    # Containers first: an image that one of them is made from meanwhile was marked before.
    containers = _records(storage, "containers")
    rows = _records(storage, "images")
    layers = {row["id"]: row for row in _records(storage, "layers")}
    stored_at = {row["id"]: _changed_at(storage / "overlay-images" / row["id"]) for row in rows}
    images = tuple(_image_of(row, layers, stored_at[row["id"]], last_uses) for row in rows)
    return Stored(images, frozenset(row["image"] for row in containers if row.get("image")))


def digests_by_name(engine: Path) -> dict[str, str]:
    """Return the images that the storage below the engine's folder holds: name → digest; an image may have lost its.

    Raises: OperatorFault, where its records cannot be read.
    """
    rows = _records(engine / "storage", "images")
    return {name: row["digest"] for row in rows for name in row.get("names") or () if row.get("digest")}


def _image_of(
    row: Mapping[str, Any], layers: Mapping[str, Any], stored_at: datetime, last_uses: Mapping[str, datetime]
) -> StoredImage:
    names = tuple(row.get("names") or ())
    marks = [last_uses[tag] for tag in filter(None, map(tag_of, names)) if tag in last_uses]
    used_at = max([stored_at, *marks])
    return StoredImage(row["id"], names, row.get("digest", ""), _chain(row.get("layer"), layers), used_at)


def _chain(top: str | None, layers: Mapping[str, Any]) -> tuple[StoredLayer, ...]:
    """Return the layers below and with `top`, from the bottom up."""
    found: list[StoredLayer] = []
    while top and (row := layers.get(top)):
        found.append(StoredLayer(top, max(0, row.get("diff-size", 0))))
        top = row.get("parent")
    return tuple(reversed(found))


def _records(storage: Path, kind: str) -> list[dict[str, Any]]:
    # Newer versions keep what a crash may lose in a file of its own beside the other.
    paths = [storage / f"overlay-{kind}" / name for name in (f"{kind}.json", f"volatile-{kind}.json")]
    try:
        return [row for path in paths if path.exists() for row in json.loads(path.read_bytes() or b"[]") or []]
    except (OSError, ValueError) as error:
        raise OperatorFault(f"The records of the image storage in {storage} cannot be read: {error}.") from error


def _changed_at(folder: Path) -> datetime:
    """Return when an image was stored; its own word for it may be the beginning of time."""
    try:
        return datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    except FileNotFoundError:
        return _BEGINNING  # it has gone meanwhile
