"""The records of an engine's storage, as they are read."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from binder.errors import OperatorFault
from build.garbage.choice import StoredLayer
from build.garbage.storage import Stored, stored_in

NAME = f"localhost/binder:content-{'0' * 32}"
THEN = datetime(2026, 5, 1, tzinfo=UTC)
LATER = datetime(2026, 5, 2, tzinfo=UTC)


def _write(engine: Path, kind: str, rows: list[dict[str, Any]] | None, name: str = "") -> None:
    folder = engine / "storage" / f"overlay-{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name or kind}.json").write_text(json.dumps(rows), encoding="utf-8")


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    image = {"id": "i", "digest": "sha256:1", "names": [NAME, "other.example.org/x:1"], "layer": "upper"}
    _write(tmp_path, "images", [image, {"id": "bare"}])
    _write(tmp_path, "layers", [{"id": "upper", "parent": "lower", "diff-size": 10}, {"id": "lower", "diff-size": 200}])
    _write(tmp_path, "containers", [{"id": "c", "image": "i"}, {"id": "of nothing"}])
    for name in ("i", "bare"):
        (tmp_path / "storage/overlay-images" / name).mkdir()
        os.utime(tmp_path / "storage/overlay-images" / name, (THEN.timestamp(), THEN.timestamp()))
    return tmp_path


def test_images_are_read_with_their_layers_and_uses(engine: Path) -> None:
    stored = stored_in(engine, {})
    image, bare = stored.images
    assert image.names == (NAME, "other.example.org/x:1")
    assert image.layers == (StoredLayer("lower", 200), StoredLayer("upper", 10))
    assert (image.kind, bare.kind, bare.names, bare.layers) == ("content", "foreign", (), ())
    assert image.used_at == bare.used_at == THEN
    assert stored.in_containers == {"i"}
    tag = NAME.rpartition(":")[2]
    assert [one.used_at for one in stored_in(engine, {tag: LATER}).images] == [LATER, THEN]


def test_what_newer_versions_keep_apart_is_read_too(engine: Path) -> None:
    _write(engine, "containers", [{"id": "v", "image": "bare"}], "volatile-containers")
    assert stored_in(engine, {}).in_containers == {"i", "bare"}


def test_an_empty_storage_holds_nothing(tmp_path: Path) -> None:
    assert stored_in(tmp_path, {}) == Stored((), frozenset())
    _write(tmp_path, "images", None)
    assert stored_in(tmp_path, {}).images == ()


def test_records_that_cannot_be_read_are_a_fault(engine: Path) -> None:
    (engine / "storage/overlay-layers/layers.json").write_text("[", encoding="utf-8")
    with pytest.raises(OperatorFault, match="cannot be read"):
        stored_in(engine, {})
