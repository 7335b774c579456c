"""A backup's file: what goes in comes out, and what anybody else put there, or left out, does not."""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binder.backup.archive import MANIFEST, STORE, Manifest, reading, writing
from binder.errors import OperatorFault

_LOCK = "locks/lock-" + "a" * 32
_KEY = "github/app/private-key.pem"
_FILES = {STORE: b"rows" * 5000, _LOCK: b"six==1.0\n", _KEY: b"PEM"}
_NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def _write(path: Path, files: Mapping[str, bytes] = _FILES) -> Manifest:
    with writing(path) as archive:
        for name, content in files.items():
            archive.add(name, io.BytesIO(content))
        return archive.finish(version="0.1.0", schema="0009", made_at=_NOW)


def _read(path: Path, to: Path) -> dict[str, bytes]:
    """Return all that is in a backup, by name."""
    to.mkdir()
    found = {}
    with reading(path, schemas=["0008", "0009"]) as backup:
        for number, member in enumerate(backup.manifest.members):
            backup.unpack(member.name, to / str(number))
            found[member.name] = (to / str(number)).read_bytes()
    return found


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    manifest = _write(path)
    assert (manifest.schema, manifest.version, manifest.made_at) == ("0009", "0.1.0", _NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    assert _read(path, tmp_path / "to") == _FILES
    assert {one.stat().st_mode & 0o777 for one in (tmp_path / "to").iterdir()} == {0o600}
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_a_backup_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(OperatorFault, match="there already"):
        _write(path)
    assert [(one.name, one.read_text(encoding="utf-8")) for one in tmp_path.iterdir()] == [("a.zip", "mine")]


def test_a_backup_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, _: int | None = -1, /) -> bytes:
            raise KeyError

    with pytest.raises(KeyError), writing(tmp_path / "a.zip") as archive:
        archive.add(STORE, Broken())
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorFault, match=r"cannot be written to .*No such file"):
        _write(tmp_path / "none" / "a.zip")
    with pytest.raises(OperatorFault, match=r"cannot be read: No such file"):
        _read(tmp_path / "a.zip", tmp_path / "to")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0))
def test_one_that_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    path = Path(tempfile.mkdtemp(dir=tmp_path)) / "a.zip"
    _write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: cut % len(whole)])
    with pytest.raises(OperatorFault, match=r"damaged|no backup"):
        _read(path, path.with_suffix(".to"))


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_one_that_was_altered_is_refused_or_says_the_same(tmp_path: Path, place: int, flip: int) -> None:
    path = Path(tempfile.mkdtemp(dir=tmp_path)) / "a.zip"
    _write(path)
    altered = bytearray(path.read_bytes())
    altered[place % len(altered)] ^= flip
    path.write_bytes(altered)
    try:
        found = _read(path, path.with_suffix(".to"))
    except OperatorFault:
        return
    assert found == _FILES  # a time, or what a zip has twice


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04", b"SQLite format 3\0", b"\x1f\x8b" + b"0" * 50])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(OperatorFault, match=r"damaged|no backup"):
        _read(tmp_path / "a.zip", tmp_path / "to")


def test_another_programs_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(OperatorFault, match="no backup that `binder backup` made"):
        _read(tmp_path / "a.zip", tmp_path / "to")


def _forged(path: Path, change: Callable[[dict[str, Any]], None], more: Mapping[str, bytes] | None = None) -> None:
    """Write a backup whose manifest was changed, with more files than it names."""
    original = path.with_suffix(".original")
    _write(original)
    with zipfile.ZipFile(original) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == MANIFEST:
                manifest = json.loads(content)
                change(manifest)
                content = json.dumps(manifest).encode()
            new.writestr(name, content)
        for name, content in (more or {}).items():
            new.writestr(name, content)


def _member(name: str, size: int = 4) -> dict[str, Any]:
    return {"name": name, "size": size, "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda one: one.update(schema="0010", version="0.9.0"),
            "made by Binder 0.9.0, whose store has the schema 0010",
        ),
        (lambda one: one.update(format_version=2, version="2.0.0"), "newer version of Binder, 2.0.0"),
        (lambda one: one.update(format="somebody-elses"), "no backup"),
        (lambda one: one.update(version="\x1b[31m"), "damaged"),
        (lambda one: one.update(members="none"), "damaged"),
        (lambda one: one.pop("schema"), "damaged"),
        (lambda one: one["members"].pop(), "does not hold what its manifest names"),
        (lambda one: one["members"].append(_member("locks/lock-" + "b" * 32)), "does not hold what"),
        (lambda one: one["members"].append(one["members"][0]), "does not hold what"),
        (lambda one: one["members"][1].update(size=2**40), "more than any can have"),
        (lambda one: one["members"][0].update(size=2**60), "and the disk"),
        (lambda one: one["members"][0].update(size=3), "not what its manifest says"),
        (lambda one: one["members"][0].update(sha256="0" * 64), "not what its manifest says"),
        (lambda one: one["members"][0].update(size=-1), "damaged"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    _forged(tmp_path / "a.zip", change)
    with pytest.raises(OperatorFault, match=words):
        _read(tmp_path / "a.zip", tmp_path / "to")


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "locks/../../a",
        "locks/lock-" + "a" * 31 + "/",
        "locks/lock-" + "a" * 32 + "\n",
        "github/app/../../binder.db",
        "github/app/authorized_keys",
        "locks\\lock-" + "a" * 32,
        "x" * 60_000,
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_what_no_backup_holds_is_refused_and_written_nowhere(tmp_path: Path, name: str, *, named: bool) -> None:
    def change(manifest: dict[str, Any]) -> None:
        if named:
            manifest["members"].append(_member(name))

    _forged(tmp_path / "a.zip", change, {name: b"evil"})
    with pytest.raises(OperatorFault, match="nothing that a backup holds"):
        _read(tmp_path / "a.zip", tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_a_link_is_nothing_but_its_bytes(tmp_path: Path) -> None:
    """A zip says that a file is a link in a field that is not looked at: what is unpacked is always a file."""
    link = zipfile.ZipInfo("locks/lock-" + "b" * 32)
    link.external_attr = 0o120777 << 16
    _forged(tmp_path / "a.zip", lambda one: one["members"].append(_member(link.filename)))
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(OperatorFault, match="not what its manifest says"):
        _read(tmp_path / "a.zip", tmp_path / "to")
    assert not any(one.is_symlink() for one in (tmp_path / "to").iterdir())


def test_a_bomb_is_read_no_further_than_it_says(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(STORE, b"\0" * 300 * 2**20)
        manifest = {"version": "1", "schema": "0009", "made_at": _NOW.isoformat(), "members": [_member(STORE)]}
        archive.writestr(MANIFEST, json.dumps({"format": "binder-backup", "format_version": 1, **manifest}))
    with pytest.raises(OperatorFault, match="not what its manifest says"):
        _read(tmp_path / "a.zip", tmp_path / "to")
    assert (tmp_path / "to" / "0").stat().st_size <= 2**20


def test_another_way_of_packing_is_refused(tmp_path: Path) -> None:
    _forged(tmp_path / "a.zip", lambda one: one["members"].append(_member("locks/lock-" + "b" * 32)))
    with zipfile.ZipFile(tmp_path / "a.zip", "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("locks/lock-" + "b" * 32, b"evil")
    with pytest.raises(OperatorFault, match="packed in a way"):
        _read(tmp_path / "a.zip", tmp_path / "to")
