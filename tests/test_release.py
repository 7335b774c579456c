"""A release is the same bytes whoever makes it, says what it is, and runs where nothing else of ours is."""

import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import binder
from tests.cluster.helm import CHART, HelmRefused
from tests.release import (
    ROOT,
    NotReleasedError,
    commit_time,
    digests,
    make_action,
    make_chart,
    make_wheel,
    notes_of,
    packed,
)

_CHANGELOG = (
    "# Changelog\n\n## 0.2.0 (unreleased)\n\nNew.\n\n## 0.1.0 (2026-01-02)\n\n### A\n\n- One.\n\n## 0.0.9 (x)\n\n"
)


def test_the_version_is_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"] == {"path": "binder/__init__.py"}
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == binder.__version__
    assert notes_of((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), binder.__version__, is_draft=True)


def test_notes_are_what_the_changelog_says_of_the_version() -> None:
    assert notes_of(_CHANGELOG, "0.1.0") == "# Binder 0.1.0 (2026-01-02)\n\n### A\n\n- One.\n"
    assert notes_of(_CHANGELOG, "0.2.0", is_draft=True) == "# Binder 0.2.0 (unreleased)\n\nNew.\n"
    for version, words in (("0.2.0", "give it its day"), ("0.3.0", "says nothing"), ("0.0.9", "says nothing")):
        with pytest.raises(NotReleasedError, match=words):
            notes_of(_CHANGELOG, version)


def test_an_archive_is_the_same_for_the_same_files() -> None:
    files = {"b/run": (b"#!/bin/sh\n", True), "a": (b"text", False)}
    assert packed(files, 1_700_000_000) == packed(dict(reversed(files.items())), 1_700_000_000)


def test_the_action_is_packed_with_its_license(tmp_path: Path) -> None:
    archive = make_action(tmp_path, commit_time())
    first = archive.read_bytes()
    assert make_action(tmp_path, commit_time()).read_bytes() == first
    with tarfile.open(archive) as members:
        names = members.getnames()
        assert {member.uid for member in members} == {0}
    assert "LICENSE" in names
    assert names == sorted(names)
    tracked = {path.name for path in (ROOT / "action").glob("*.py")}
    assert tracked < set(names)


def test_digests_are_as_sha256sum_reads_them(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "SHA256SUMS").write_text(digests(tmp_path), encoding="utf-8")
    done = subprocess.run(("sha256sum", "--check", "SHA256SUMS"), cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"a: OK\n")


@pytest.mark.slow
def test_the_wheel_is_the_same_each_time_and_runs_where_nothing_else_of_ours_is(tmp_path: Path) -> None:
    wheels = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        wheels.append(make_wheel(tmp_path / name, commit_time()))
    assert wheels[0].read_bytes() == wheels[1].read_bytes()
    assert wheels[0].name.startswith(f"binder-{binder.__version__}-")
    with zipfile.ZipFile(wheels[0]) as archive:
        assert not [name for name in archive.namelist() if name.startswith(("tests/", "deploy/chart/"))]
    assert _run_in_clean_place(wheels[0], tmp_path, "--version") == f"binder {binder.__version__}\n"
    assert "postgres" in _run_in_clean_place(wheels[0], tmp_path, "modules", "list")
    # The migrations are in it: a store is made.
    assert _run_in_clean_place(wheels[0], tmp_path, "token", "laptop").strip()
    assert (tmp_path / "state" / "binder.db").exists()


def _run_in_clean_place(wheel: Path, folder: Path, *arguments: str) -> str:
    """Run `binder` of a wheel in an environment that has what it needs of others, and nothing of this checkout."""
    place = folder / "venv"
    (folder / "state").mkdir(exist_ok=True)
    python = place / "bin" / "python"
    if not place.exists():
        venv.create(place, symlinks=True)
        uv = Path(sys.executable).parent / "uv"
        install = (str(uv), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel))
        subprocess.run(install, check=True, timeout=120)
        (site,) = place.glob("lib/python*/site-packages")
        # Files that end so are not read in a folder that stands in one: this checkout is not found by it.
        (site / "others.pth").write_text(f"{Path(yaml.__file__).parents[1]}\n", encoding="utf-8")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "BINDER_STATE_DIR": str(folder / "state")}
    done = subprocess.run(
        (str(place / "bin" / "binder"), *arguments),
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.cluster
def test_the_chart_is_the_same_each_time(tmp_path: Path) -> None:
    """It needs helm, as the tests of the chart do, and no cluster."""
    try:
        first = make_chart(tmp_path, commit_time()).read_bytes()
    except HelmRefused as refused:
        pytest.fail(str(refused))
    assert make_chart(tmp_path, commit_time()).read_bytes() == first
    with tarfile.open(tmp_path / f"binder-{binder.__version__}.tgz") as archive:
        names = archive.getnames()
    assert "binder/Chart.yaml" in names
    assert "binder/files/monitoring/alerts.yaml" in names
    assert "binder/values.schema.json" in names
