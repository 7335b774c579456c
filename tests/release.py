"""Makes a release: `python -m tests.release` writes wheel, chart, action, notes and their digests to `dist/VERSION/`.

Wheel, chart and action are the same bytes whoever makes them of the same commit: their times are the commit's, their
order is that of names, and nobody owns them. The images are made by `binder images`, whose layers have keys of what is
in them; with `--push`, they go to a registry, and `images.yaml` names them as values of the chart.
"""

import argparse
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import binder
from tests.cluster.helm import CHART, Helm

ROOT: Final = Path(__file__).resolve().parents[1]
_SECONDS: Final = 600
_IMAGES_SECONDS: Final = 7200
_SECTION: Final = re.compile(r"^## (\S+) \(([^)]*)\)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


class NotReleasedError(Exception):
    """No release was made; the text says why."""


def notes_of(changelog: str, version: str, *, is_draft: bool = False) -> str:
    """Return what a changelog says of a version.

    Raises: NotReleasedError, where it says nothing, or has no day for it yet and this is no draft.
    """
    found = next((match for match in _SECTION.finditer(changelog) if match[1] == version), None)
    if found is None or not found[3].strip():
        raise NotReleasedError(f"CHANGELOG.md says nothing of {version}.")
    if not is_draft and not re.fullmatch(r"\d{4}-\d\d-\d\d", found[2]):
        raise NotReleasedError(f"CHANGELOG.md calls {version} {found[2]}: give it its day, or make a --draft.")
    return f"# Binder {version} ({found[2]})\n\n{found[3].strip()}\n"


def commit_time(root: Path = ROOT) -> int:
    """Return when the commit was made that is checked out, in seconds since 1970."""
    return int(_said("git", "log", "-1", "--format=%ct", cwd=root))


def packed(files: Mapping[str, tuple[bytes, bool]], time: int) -> bytes:
    """Return a .tar.gz of files (name → content, and whether it can be run), the same for the same files."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=buffer, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, (content, can_run) in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(content), time, 0o755 if can_run else 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def make_wheel(to: Path, time: int) -> Path:
    """Build the wheel."""
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(time)}
    _said(sys.executable, "-I", "-m", "hatchling", "build", "--target", "wheel", "--directory", str(to), env=env)
    (wheel,) = to.glob("*.whl")
    return wheel


def make_action(to: Path, time: int) -> Path:
    """Pack the action, as a repository of its own would hold it."""
    listed = _said("git", "ls-files", "-z", "action").split("\0")
    paths = {ROOT / name: name.removeprefix("action/") for name in listed if name} | {ROOT / "LICENSE": "LICENSE"}
    files = {name: (path.read_bytes(), os.access(path, os.X_OK)) for path, name in paths.items()}
    archive = to / f"binder-action-{binder.__version__}.tar.gz"
    archive.write_bytes(packed(files, time))
    return archive


def make_chart(to: Path, time: int) -> Path:
    """Have helm package the chart, which says what belongs to it, and pack it again without what differs each time."""
    version = binder.__version__
    with tempfile.TemporaryDirectory() as home:
        Helm(Path(home)).run(
            "package", str(CHART), "--destination", home, "--version", version, "--app-version", version
        )
        (made,) = Path(home).glob("*.tgz")
        with tarfile.open(made) as archive:
            members = [member for member in archive.getmembers() if member.isfile()]
            files = {member.name: (_content(archive, member), False) for member in members}
    chart = to / made.name
    chart.write_bytes(packed(files, time))
    return chart


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file
    return file.read()


def digests(folder: Path) -> str:
    """Return the SHA-256 of each file of a folder, as sha256sum reads it."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def release(to: Path, *, push: str | None, with_images: bool, is_draft: bool) -> None:
    """Make all of it in a new folder.

    Raises: NotReleasedError; HelmRefused.
    """
    if not is_draft and (changed := _said("git", "status", "--porcelain")):
        raise NotReleasedError(f"Something is not committed, so that nobody could make this again:\n{changed}")
    notes = notes_of((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), binder.__version__, is_draft=is_draft)
    time = commit_time()
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    (to / "notes.md").write_text(notes, encoding="utf-8")
    for make in (make_wheel, make_action, make_chart):
        _show(f"{make(to, time).name}")
    if with_images:
        values = _said(
            sys.executable, "-m", "binder", "images", *(["--push", push] if push else []), seconds=_IMAGES_SECONDS
        )
        (to / "images.yaml").write_text(values, encoding="utf-8")
        _show("images.yaml")
    (to / "SHA256SUMS").write_text(digests(to), encoding="utf-8")
    _show(f"{to}, of {datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC")


def _said(*argv: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None, seconds: float = _SECONDS) -> str:
    done = subprocess.run(argv, cwd=cwd, env=env, stdout=subprocess.PIPE, text=True, check=False, timeout=seconds)
    if done.returncode:
        raise NotReleasedError(f"{' '.join(argv[:4])} … failed, and said why above.")
    return done.stdout.strip()


def _show(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a release as the arguments say."""
    parser = argparse.ArgumentParser(prog="make release", description="Makes a release in dist/VERSION.")
    parser.add_argument("--push", metavar="HOST/PATH", help="push the images to a registry, as `binder images` does")
    parser.add_argument("--no-images", action="store_true", help="leave the images out")
    parser.add_argument("--draft", action="store_true", help="of what is not committed, or has no day in CHANGELOG.md")
    asked = parser.parse_args(arguments)
    try:
        release(
            ROOT / "dist" / binder.__version__, push=asked.push, with_images=not asked.no_images, is_draft=asked.draft
        )
    except NotReleasedError as error:
        sys.exit(f"release: {error}")


if __name__ == "__main__":
    main()
