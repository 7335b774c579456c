"""The archive of a commit's files: whole, the same everywhere, and made without touching anything else."""

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import OperatorFault, RepositoryFault, WorldFault
from binder.paths import Paths
from binder.process import Account
from build.commits.content import ContentSink, Ownership, Tar, TarWriter
from build.commits.git import Git
from build.commits.lfs import Pointer
from build.commits.objects import Collected, ObjectReader
from build.commits.tree import Entry
from tests.repositories import Files, Link, LocalRepository, Script

MakeRepository = Callable[[Files], LocalRepository]
OWNED = Ownership(1000, 1000, 1_700_000_000)
LONG = "/".join(["ein-langer-name"] * 20)
FILES: Files = {
    "a.ipynb": "{}",
    "empty": "",
    "postBuild": Script("#!/bin/sh\n"),
    "data/ü b\n\t.csv": b"\x00\xff\r\n",
    f"{LONG}/f": "long",
    "data/large.bin": bytes(range(256)) * 1000,
    "link": Link("data"),
    "out": Link("/etc/passwd"),
    "ümlaut": Link(f"../{LONG}/ü"),
}


@pytest.fixture
def git(reachable_path: Path, account: Account) -> Git:
    paths = Paths(reachable_path / "state", reachable_path / "cache")
    paths.make(account)
    return Git(paths, account, None, timeout_seconds=60)


def _parts(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as archive:
        return {member.name: member for member in archive}


async def test_a_commit_becomes_an_archive(git: Git, make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository(FILES)
    commit = await git.fetch(repository.source, repository.git("rev-parse", "HEAD"))
    tar = await git.write_tar(repository.source, commit, commit.files, tmp_path / "content.tar")
    content = tar.path.read_bytes()
    assert (tar.size_bytes, tar.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert tar.files == len(FILES)
    parts = _parts(tar.path)
    folders = {"home/jovyan", "home/jovyan/data", *(f"home/jovyan/{LONG[:end]}" for end in _ends(LONG))}
    assert set(parts) == folders | {f"home/jovyan/{path}" for path in FILES}
    assert {(part.uid, part.gid, part.mtime) for part in parts.values()} == {(1000, 1000, 1_700_000_000)}
    assert all(parts[folder].isdir() and parts[folder].mode == 0o755 for folder in folders)
    assert parts["home/jovyan/postBuild"].mode == 0o755
    assert parts["home/jovyan/a.ipynb"].mode == 0o644
    for path, link in FILES.items():
        if isinstance(link, Link):
            assert (parts[f"home/jovyan/{path}"].linkname, parts[f"home/jovyan/{path}"].issym()) == (link, True)


def _ends(path: str) -> list[int]:
    return [*(i for i, character in enumerate(path) if character == "/"), len(path)]


async def test_the_real_tar_unpacks_it(git: Git, make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository(FILES)
    commit = await git.fetch(repository.source, repository.git("rev-parse", "HEAD"))
    tar = await git.write_tar(repository.source, commit, commit.files, tmp_path / "content.tar", prefix="")
    (tmp_path / "there").mkdir()
    subprocess.run(  # noqa: ASYNC221 - nothing else is to run meanwhile
        ["tar", "-x", "-f", tar.path, "-C", tmp_path / "there"], check=True, timeout=60
    )
    for path, content in FILES.items():
        there = tmp_path / "there" / path
        if isinstance(content, Link):
            assert str(there.readlink()) == content
        else:
            assert there.read_bytes() == (content if isinstance(content, bytes) else str(content).encode())


async def test_the_same_commit_is_the_same_bytes(
    git: Git, make_repository: MakeRepository, tmp_path: Path, reachable_path: Path, account: Account
) -> None:
    other_paths = Paths(reachable_path / "other-state", reachable_path / "other-cache")
    other_paths.make(account)
    tars: list[Tar] = []
    for its_git, repository in (
        (git, make_repository(FILES)),
        (Git(other_paths, account, None, timeout_seconds=60), make_repository(FILES)),
    ):
        commit = await its_git.fetch(repository.source, repository.git("rev-parse", "HEAD"))
        path = tmp_path / f"{len(tars)}.tar"
        tars.append(await its_git.write_tar(repository.source, commit, reversed(list(commit.files)), path))
    assert tars[0].path.read_bytes() == tars[1].path.read_bytes()
    assert tars[0].sha256 == tars[1].sha256
    # By these bytes images are found again: a change of them makes every image anew.
    assert tars[0].sha256 == "686f3b0984f4c01ce21eba06a7d5877d5b57f2d77c4378254f52d8a7cb1eb468"


async def test_only_the_files_that_are_asked_for_go_in(
    git: Git, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(FILES)
    commit = await git.fetch(repository.source, repository.git("rev-parse", "HEAD"))
    some = await git.write_tar(repository.source, commit, ["link", "a.ipynb"], tmp_path / "some.tar", prefix="x/y")
    assert list(_parts(some.path)) == ["x/y", "x/y/a.ipynb", "x/y/link"]
    none = await git.write_tar(repository.source, commit, [], tmp_path / "none.tar", mtime=-1)
    assert [(part.name, part.mtime) for part in _parts(none.path).values()] == [("home/jovyan", 0)]


async def test_many_files_are_read_at_once(git: Git, make_repository: MakeRepository) -> None:
    files = {f"{number}.txt": f"{number}\n" * (number % 50) for number in range(2000)}
    repository = make_repository(files)
    commit = await git.fetch(repository.source, repository.git("rev-parse", "HEAD"))
    assert await git.read_many(repository.source, commit, files) == {
        path: text.encode() for path, text in files.items()
    }
    assert await git.read_many(repository.source, commit, []) == {}
    assert await git.read(repository.source, commit, "7.txt") == b"7\n" * 7


async def test_what_is_gone_from_the_cache_is_said(
    git: Git, make_repository: MakeRepository, tmp_path: Path, reachable_path: Path
) -> None:
    repository = make_repository({"a.txt": "x"})
    commit = await git.fetch(repository.source, repository.git("rev-parse", "HEAD"))
    for pack in (reachable_path / "cache/git").glob("*/objects/pack/*"):
        pack.unlink()
    with pytest.raises(WorldFault, match="Build it again"):
        await git.write_tar(repository.source, commit, commit.files, tmp_path / "x.tar")
    with pytest.raises(WorldFault, match="Build it again"):
        await git.read(repository.source, commit, "a.txt")


async def test_a_disk_that_cannot_be_written_is_the_operators(
    git: Git, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository({"a.txt": "x"})
    commit = await git.fetch(repository.source, repository.git("rev-parse", "HEAD"))
    with pytest.raises(OperatorFault, match="No space left"):
        await git.write_tar(repository.source, commit, commit.files, Path("/dev/full"))
    with pytest.raises(OperatorFault, match="No such file"):
        await git.write_tar(repository.source, commit, commit.files, tmp_path / "missing/x.tar")


def _link(target: bytes) -> None:
    writer = TarWriter(io.BytesIO(), "", OWNED)
    sink = ContentSink(writer, [("a link", Entry("120000", len(target), "1"), None)])
    sink.begin("1", len(target))
    sink.data(target)
    sink.end()


@pytest.mark.parametrize(
    ("target", "message"),
    [(b"", "no path"), (b"a\0b", "no path"), (b"caf\xe9", "not UTF-8"), (b"x" * 4096, "further than 4,095")],
)
def test_links_that_no_disk_can_hold_are_named(target: bytes, message: str) -> None:
    with pytest.raises(RepositoryFault, match=message) as caught:
        _link(target)
    assert caught.value.file == "a link"


def test_what_is_not_what_was_asked_for_is_refused() -> None:
    content = b"large"
    right = Pointer(hashlib.sha256(content).hexdigest(), 5)
    for object_id, size, given_content in (
        (right.sha256, 4, b"larg"),
        ("0" * 64, 5, content),
        (right.sha256, 5, b"wrong"),
    ):
        sink = ContentSink(TarWriter(io.BytesIO(), "", OWNED), [("a", Entry("100644", 5, "1"), right)])
        with pytest.raises(WorldFault, match="not what the commit says"):
            ObjectReader(sink).feed(b"%b blob %d\n%b\n" % (object_id.encode(), size, given_content))


def test_files_of_any_size_have_a_header() -> None:
    file = io.BytesIO()
    writer = TarWriter(file, "home", OWNED)
    writer.file("x", 9 * 2**30, executable=False)
    file.seek(0)
    with tarfile.open(fileobj=file) as archive:
        assert [(part.name, part.size) for part in (archive.next(), archive.next()) if part] == [
            ("home", 0),
            ("home/x", 9 * 2**30),
        ]


NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=120).filter(
    lambda name: name not in {".", ".."}
)


@given(
    st.lists(NAMES, min_size=1, max_size=4).map("/".join),
    st.binary(max_size=2000),
    st.lists(NAMES, min_size=1).map("/".join),
)
def test_any_name_and_any_content_comes_out_again(path: str, content: bytes, target: str) -> None:
    file = io.BytesIO()
    writer = TarWriter(file, "", OWNED)
    writer.file(path, len(content), executable=True)
    writer.data(content)
    writer.end()
    writer.link(f"{path}-", target.encode())
    tar = writer.close(Path("x"))
    assert file.tell() == tar.size_bytes
    assert tar.size_bytes % 512 == 0
    file.seek(0)
    with tarfile.open(fileobj=file, errorlevel=2) as archive:
        parts = archive.getmembers()
        extracted = archive.extractfile(parts[-2])
        assert extracted
        assert (parts[-2].name, extracted.read()) == (path, content)
        assert (parts[-1].name, parts[-1].linkname) == (f"{path}-", target)


@given(st.lists(st.binary(max_size=100), max_size=5), st.data())
def test_objects_are_read_however_they_come(contents: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(b"%040d blob %d\n%b\n" % (number, len(one), one) for number, one in enumerate(contents))
    sink = Collected()
    reader = ObjectReader(sink)
    while stream:
        size = data.draw(st.integers(1, 60))
        reader.feed(stream[:size])
        stream = stream[size:]
    reader.close(len(contents))
    assert sink.contents == contents


@pytest.mark.parametrize(
    "stream",
    [b"0123 missing\n", b"0123 tree 3\nabc\n", b"fatal: x\n", b"0123 blob 3\nab", b"0123 blob 3", b"x" * 300, b""],
)
def test_a_stream_that_breaks_off_or_says_otherwise_is_refused(stream: bytes) -> None:
    reader = ObjectReader(Collected())
    with pytest.raises(WorldFault, match="Build it again"):  # noqa: PT012 - either may notice
        reader.feed(stream)
        reader.close(1)


async def test_large_files_go_through_in_pieces(git: Git, make_repository: MakeRepository, tmp_path: Path) -> None:
    content = os.urandom(2**20) * 10
    repository = make_repository({"large.bin": content, "z": "last"})
    commit = await git.fetch(repository.source, repository.git("rev-parse", "HEAD"))
    tar = await git.write_tar(repository.source, commit, commit.files, tmp_path / "x.tar")
    with tarfile.open(tar.path) as archive:
        large = archive.extractfile("home/jovyan/large.bin")
        assert large
        assert hashlib.sha256(large.read()).digest() == hashlib.sha256(content).digest()
