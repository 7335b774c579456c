"""Records of archives become commits: from a stand-in of their interfaces, through the real git."""

import asyncio
import io
import ssl
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from binder.errors import BinderError, RepositoryFault, VisitorFault, WorldFault
from binder.names import sha_of_version, version_of_sha
from binder.paths import Paths
from binder.process import Account
from build.commits import downloads
from build.commits.downloads import Downloads
from build.commits.git import Commit, Git, Source
from build.commits.records import Records
from tests.build.archives import PUBLISHED_SECONDS, ArchiveServer, archive_server, zipped
from tests.build.conda_channel import write_certificate

NOTEBOOK = b'{"cells": []}'


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    """A stand-in for all archives."""
    with archive_server() as server:
        yield server


@pytest.fixture
def paths(reachable_path: Path, account: Account) -> Paths:
    """Folders of this test's own."""
    paths = Paths(reachable_path / "state", reachable_path / "cache")
    paths.make(account)
    return paths


@pytest.fixture
def git(paths: Paths, account: Account, server: ArchiveServer) -> Git:
    """A git that asks the stand-in."""
    return Git(paths, account, None, server.records, timeout_seconds=60, most_bytes=2**20)


async def fetched(git: Git, url: str) -> tuple[str, Commit]:
    """Return what stands for the newest version of a record, and its commit."""
    sha = await git.resolve(Source(url), "HEAD")
    assert sha
    return sha, await git.fetch(Source(url), sha)


async def contents(git: Git, url: str) -> dict[str, bytes]:
    """Return path → content of the newest version of a record."""
    _, commit = await fetched(git, url)
    return await git.read_many(Source(url), commit, commit.files)


def test_a_version_stands_in_the_place_of_a_sha() -> None:
    for version in ("1", "3242074", "2.1", "1.10", "18446744073709551615"):
        assert version_of_sha(sha_of_version(version)) == version
    for sha in ("f" * 40, "a" * 40, "12" * 20, "1d" + "f" * 38, "1" * 33 + "f" * 7):
        assert version_of_sha(sha) is None
    for text in ("", "1.", ".1", "v1", "1.2.3", "\u0661"):
        with pytest.raises(ValueError, match="is no version"):
            sha_of_version(text)


async def test_a_record_becomes_a_commit(git: Git, server: ArchiveServer) -> None:
    files = {"a.ipynb": NOTEBOOK, 'data/ü "b".csv': b"\x00\xff\r\n", "postBuild": b"#!/bin/sh\n", "empty": b""}
    url = server.zenodo(1001, files, concept=1000)
    sha, commit = await fetched(git, url)
    assert version_of_sha(sha) == "1001"
    assert (commit.sha, commit.time) == (sha, PUBLISHED_SECONDS)
    assert await contents(git, url) == files
    assert commit.files["postBuild"].mode == "100755"
    assert commit.files["a.ipynb"].mode == "100644"


async def test_the_doi_of_all_versions_is_the_newest_and_an_old_version_stays(git: Git, server: ArchiveServer) -> None:
    server.zenodo(1001, {"a.txt": b"1"}, concept=1000)
    all_versions = Source("zenodo:10.5281/zenodo.1000")
    first = await git.resolve(all_versions, "HEAD")
    server.zenodo(1002, {"a.txt": b"2"}, concept=1000)
    second = await git.resolve(all_versions, "HEAD")
    assert first
    assert second
    assert first != second
    texts = [await git.read(all_versions, await git.fetch(all_versions, sha), "a.txt") for sha in (first, second)]
    assert texts == [b"1", b"2"]


async def test_another_records_version_is_none_of_this_one(git: Git, server: ArchiveServer) -> None:
    url = server.zenodo(1001, {"a.txt": b"1"}, concept=1000)
    server.zenodo(2001, {"evil.txt": b"2"}, concept=2000)
    for sha in (sha_of_version("2001"), sha_of_version("3001"), "a" * 40):
        with pytest.raises(RepositoryFault, match="no longer has this version"):
            await git.fetch(Source(url), sha)


async def test_the_same_record_is_the_same_everywhere_and_fetched_once(
    git: Git, server: ArchiveServer, reachable_path: Path, account: Account
) -> None:
    url = server.zenodo(1001, {"x.zip": zipped({"x-1/a.ipynb": NOTEBOOK, "x-1/b/c.txt": b"c"})}, concept=1000)
    _, commit = await fetched(git, url)
    other = Paths(reachable_path / "other" / "state", reachable_path / "other" / "cache")
    other.state.parent.mkdir(mode=0o711)
    other.make(account)
    elsewhere = Git(other, account, None, server.records, timeout_seconds=60)
    assert (await fetched(elsewhere, url))[1] == commit
    server.answers.clear()
    assert await git.fetch(Source(url), commit.sha) == commit


async def test_fetches_of_one_record_do_not_meet(git: Git, server: ArchiveServer) -> None:
    url = server.zenodo(1001, {f"{number}.txt": b"x" * 100_000 for number in range(5)}, concept=1000)
    commits = await asyncio.gather(*(fetched(git, url) for _ in range(4)))
    assert len({commit.tree for _, commit in commits}) == 1


async def test_a_single_archive_is_unpacked_and_its_one_folder_left_out(git: Git, server: ArchiveServer) -> None:
    inside = {"ada-x-1a2b/a.ipynb": NOTEBOOK, "ada-x-1a2b/b/run": b"x", "ada-x-1a2b/link": b"b/run"}
    modes = {"ada-x-1a2b/b/run": 0o100755, "ada-x-1a2b/link": 0o120777, "ada-x-1a2b/a.ipynb": 0o100644}
    left_out = {"__MACOSX/ada-x-1a2b/._a.ipynb": b"", "ada-x-1a2b/.git/config": b"[core]", "ada-x-1a2b/": b""}
    url = server.zenodo(1001, {"ada/x-v1.zip": zipped(inside | left_out, modes)}, concept=1000)
    _, commit = await fetched(git, url)
    assert {path: entry.mode for path, entry in commit.files.items()} == {
        "a.ipynb": "100644",
        "b/run": "100755",
        "link": "120000",
    }
    assert await git.read(Source(url), commit, "link") == b"b/run"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"x.zip": zipped({"a/1": b"", "b/2": b""})}, {"a/1", "b/2"}),
        ({"x.zip": zipped({"a/1": b"", "2": b""})}, {"a/1", "2"}),
        ({"x.zip": zipped({"1": b""}), "y.csv": b""}, {"x.zip", "y.csv"}),
        ({"x.ZIP": zipped({"a/b/1": b""})}, {"b/1"}),
    ],
)
async def test_what_is_unpacked(git: Git, server: ArchiveServer, files: dict[str, bytes], expected: set[str]) -> None:
    assert set(await contents(git, server.zenodo(1001, files, concept=1000))) == expected


def bomb() -> bytes:
    """Return an archive of a few kB that unpacks to more than a record may have."""
    return zipped({"a": bytes(2**21)})


def liar() -> bytes:
    """Return an archive that says that its file is shorter than it is."""
    return bomb().replace((2**21).to_bytes(4, "little"), (100).to_bytes(4, "little"))


def locked() -> bytes:
    """Return an archive that says that its file is encrypted."""
    content = bytearray(zipped({"a": b"x"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def odd() -> bytes:
    """Return an archive packed in a way that nobody knows."""
    content = bytearray(zipped({"a": b"x"}))
    content[8] = content[content.index(b"PK\x01\x02") + 10] = 77
    return bytes(content)


def twice() -> bytes:
    """Return an archive with two files of one name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/b", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a/b", "2")
    return out.getvalue()


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (zipped({"../../etc/passwd": b""}), "leads elsewhere"),
        (zipped({"/etc/passwd": b"", "b": b""}), "leads elsewhere"),
        (zipped({"a/../../b": b"", "c": b""}), "leads elsewhere"),
        (zipped({"a//b": b"", "c": b""}), "leads elsewhere"),
        (zipped({".GIT/hooks/x": b"", "c": b""}), "is a trap"),
        (zipped({"a": b"", "a/b": b""}), "both a file and a folder"),
        (zipped({"pipe": b"", "c": b""}, {"pipe": 0o010644}), "neither a file nor a link"),
        (bomb(), "unpacks to"),
        (liar(), "cannot be unpacked"),
        (locked(), "encrypted"),
        (odd(), "packed in a way"),
        (twice(), "two files called"),
        (b"PK no archive", "cannot be unpacked"),
        (zipped({"a": b"x" * 1000})[:-30], "cannot be unpacked"),
    ],
)
async def test_a_hostile_archive_is_the_records_fault(
    git: Git, server: ArchiveServer, archive: bytes, says: str, paths: Paths
) -> None:
    url = server.zenodo(1001, {"x.zip": archive}, concept=1000)
    with pytest.raises(RepositoryFault, match=says):
        await fetched(git, url)
    # Nothing of it counts as fetched, nor does it come in the way of what follows.
    with pytest.raises(RepositoryFault, match=says):
        await fetched(git, url)
    assert not list(paths.git.parent.parent.rglob("passwd"))


async def test_what_a_record_may_not_be_called(git: Git, server: ArchiveServer) -> None:
    for name in ("../x", "a\nb/../c", "a/", "\0"):
        with pytest.raises(RepositoryFault, match="leads elsewhere"):
            await fetched(git, server.zenodo(1001, {name: b"", "b": b""}, concept=1000))
    assert await contents(git, server.zenodo(1002, {"a\nb\t\\": b"1"}, concept=1000)) == {"a\nb\t\\": b"1"}


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (410, RepositoryFault, "withdrawn"),
        (403, RepositoryFault, "embargoed, restricted or private"),
        (429, WorldFault, "cannot answer at present"),
        (503, WorldFault, "cannot answer at present"),
        (418, WorldFault, "HTTP 418"),
        (b"<html>", WorldFault, "not JSON"),
        ([], WorldFault, "not what its interface promises"),
        ({"id": 1001}, WorldFault, "not what its interface promises"),
        ("/api/records/1001", WorldFault, "from one address to the next"),
        ("http://192.168.0.1/", WorldFault, "without TLS"),
        ("https://127.0.0.1/", VisitorFault, "not the name of a public host"),
        ("https://localhost.:1/", VisitorFault, "not the name of a public host"),
    ],
)
async def test_what_an_archive_answers_instead(
    git: Git, server: ArchiveServer, answer: object, kind: type[BinderError], says: str
) -> None:
    server.answers["/api/records/1001"] = answer
    with pytest.raises(kind, match=says):
        await git.resolve(Source("zenodo:10.5281/zenodo.1001"), "HEAD")


async def test_an_unknown_record_is_none_and_a_closed_one_says_so(git: Git, server: ArchiveServer) -> None:
    assert await git.resolve(Source("zenodo:10.5281/zenodo.1"), "HEAD") is None
    assert await git.resolve(Source("zenodo:10.5281/zenodo.1"), "main") is None
    for access in ("embargoed", "restricted", "closed"):
        with pytest.raises(RepositoryFault, match=f"are {access}"):
            await git.resolve(Source(server.zenodo(1001, {"a": b""}, concept=1000, access=access)), "HEAD")
    with pytest.raises(RepositoryFault, match="has no files"):
        await git.resolve(Source(server.zenodo(1001, {}, concept=1000)), "HEAD")


async def test_a_server_that_is_away_is_the_worlds_fault(paths: Paths, account: Account) -> None:
    with archive_server() as gone:
        records = gone.records
    git = Git(paths, account, None, records, timeout_seconds=60)
    with pytest.raises(WorldFault, match="did not answer"):
        await git.resolve(Source("zenodo:10.5281/zenodo.1"), "HEAD")


async def test_what_is_too_large_is_not_fetched(git: Git, server: ArchiveServer) -> None:
    url = server.zenodo(1001, {"a.bin": bytes(2**20 + 1)}, concept=1000)
    with pytest.raises(RepositoryFault, match=r"larger than the 1\.0 MB"):
        await fetched(git, url)
    assert not [path for path in server.requests if path.endswith("/content")]
    with pytest.raises(RepositoryFault, match="larger than the"):
        await fetched(git, server.ckan("tides", {"a.bin": bytes(2**20 + 1)}))


async def test_what_arrives_otherwise_than_described_is_not_taken(git: Git, server: ArchiveServer) -> None:
    url = server.zenodo(1001, {"a.txt": b"right"}, concept=1000)
    for wrong in (b"wrong", b"right, and more"):
        server.answers["/api/records/1001/files/a.txt/content"] = wrong
        with pytest.raises(WorldFault, match="did not arrive as the record describes"):
            await fetched(git, url)
    server.answers["/api/records/1001/files/a.txt/content"] = 500
    with pytest.raises(WorldFault, match="cannot answer at present"):
        await fetched(git, url)
    del server.answers["/api/records/1001/files/a.txt/content"]
    with pytest.raises(RepositoryFault, match=r"lists a\.txt, which is not there"):
        await fetched(git, url)
    server.answers["/api/records/1001/files/a.txt/content"] = b"right"
    assert await contents(git, url) == {"a.txt": b"right"}


async def test_only_hosts_that_settings_name_are_asked_in_this_network(
    paths: Paths, account: Account, server: ArchiveServer
) -> None:
    url = server.zenodo(1001, {"a.txt": b"x"}, concept=1000)
    git = Git(paths, account, None, Records(Downloads(None, ()), server.archives), timeout_seconds=60)
    with pytest.raises(WorldFault, match="without TLS"):
        await git.resolve(Source(url), "HEAD")
    assert server.requests == []


async def test_a_public_host_is_asked_where_it_was_looked_up_and_by_its_name(
    paths: Paths, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No name server knows the host: whoever reaches it was told where it is; its certificate must be its name's."""
    asked: list[str] = []

    async def looked_up(url: str) -> tuple[str, ...]:
        asked.append(url)
        return ("127.0.0.1",)

    monkeypatch.setattr(downloads, "public_addresses", looked_up)
    certificates = tmp_path / "certificate.pem"
    for host, is_right in (("archive.invalid", True), ("other.invalid", False)):
        write_certificate(certificates, host)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificates)
        with archive_server(tls, "archive.invalid") as server:
            url = server.zenodo(1001, {"a.txt": b"x"}, concept=1000)
            git = Git(paths, account, None, Records(Downloads(certificates, ()), server.archives), timeout_seconds=60)
            if is_right:
                assert await contents(git, url) == {"a.txt": b"x"}
                assert server.hosts == {server.host}
                assert set(asked) == {server.origin}
            else:
                with pytest.raises(WorldFault, match=r"did not answer.*certificate verify failed"):
                    await git.resolve(Source(url), "HEAD")


async def test_an_article_of_figshare(git: Git, server: ArchiveServer) -> None:
    files = {f"{number}.txt": str(number).encode() for number in range(1003)}
    url = server.figshare(9782777, 3, files)
    sha, commit = await fetched(git, url)
    assert version_of_sha(sha) == "3"
    assert set(commit.files) == set(files)
    exact = Source(f"{url}.v3")
    assert await git.resolve(exact, "HEAD") == sha
    with pytest.raises(RepositoryFault, match="no longer has this version"):
        await git.fetch(exact, sha_of_version("2"))


async def test_a_dataset_of_a_dataverse(git: Git, server: ArchiveServer) -> None:
    data = b"a,b\n"
    table = {"id": 7, "filesize": 90, "md5": "0" * 32, "originalFileName": "t.csv", "originalFileSize": len(data)}
    text = {"id": 8, "filesize": 1, "md5": "9dd4e461268c8034f5c8564e155c67a6"}
    entries: list[dict[str, object]] = [
        {"label": "t.tab", "restricted": False, "dataFile": table},
        {"label": "x.txt", "directoryLabel": "docs/more", "restricted": False, "dataFile": text},
    ]
    url = server.dataverse("10.7910/DVN/TJCLKP", "2.1", entries)
    server.answers |= {"/api/access/datafile/7?format=original": data, "/api/access/datafile/8": b"x"}
    sha, _ = await fetched(git, url)
    assert version_of_sha(sha) == "2.1"
    assert await contents(git, url) == {"t.csv": data, "docs/more/x.txt": b"x"}
    closed = server.dataverse("10.7910/DVN/AAAAAA", "1.0", [entries[0] | {"restricted": True}])
    with pytest.raises(RepositoryFault, match="restricted in part"):
        await git.resolve(Source(closed), "HEAD")


async def test_a_resource_of_hydroshare(git: Git, server: ArchiveServer) -> None:
    url = server.hydroshare("0" * 32, [{"a b.ipynb": NOTEBOOK}, {"data/x.csv": b"1"}])
    sha, _ = await fetched(git, url)
    assert version_of_sha(sha) == str(PUBLISHED_SECONDS)
    assert await contents(git, url) == {"a b.ipynb": NOTEBOOK, "data/x.csv": b"1"}
    with pytest.raises(RepositoryFault, match="no longer has this version"):
        await git.fetch(Source(url), sha_of_version("1"))
    with pytest.raises(RepositoryFault, match="private"):
        await git.resolve(Source(server.hydroshare("1" * 32, [{}], public=False)), "HEAD")


async def test_a_dataset_of_a_ckan(git: Git, server: ArchiveServer) -> None:
    url = server.ckan("tides", {"a.ipynb": NOTEBOOK, "x.csv": b"1"})
    assert await contents(git, url) == {"a.ipynb": NOTEBOOK, "x.csv": b"1"}
    assert await git.resolve(Source(f"ckan:{server.origin}/dataset/none"), "HEAD") is None
