"""Listings of commits: what is read from them, and what is refused."""

from time import perf_counter

import pytest

from binder.errors import RepositoryFault
from build.commits.tree import Entry, check_paths, check_sizes, files_of, folders_of, readable

ID = "0" * 40


def _listing(*names: bytes, mode: bytes = b"100644", size: bytes = b"      1") -> bytes:
    return b"".join(mode + b" blob " + ID.encode() + b" " + size + b"\t" + name + b"\0" for name in names)


def test_a_listing_is_read_as_git_writes_it() -> None:
    listing = _listing(b"a\tb\nc", size=b"    123") + b"160000 commit " + b"1" * 40 + b"       -\tsub\0"
    assert files_of(listing) == {"a\tb\nc": Entry("100644", 123, ID), "sub": Entry("160000", 0, "1" * 40)}
    assert files_of(b"") == {}


def test_odd_modes_are_what_git_takes_them_for() -> None:
    modes = {b"100664": "100644", b"100777": "100755", b"100600": "100644", b"100700": "100755"}
    for odd, usual in modes.items():
        assert files_of(_listing(b"a", mode=odd))["a"].mode == usual
    with pytest.raises(RepositoryFault, match="a kind that git does not know"):
        files_of(_listing(b"a", mode=b"010644"))


@pytest.mark.parametrize(
    "path", ["..", ".", "../a", "a/../b", "a/..", "./a", "a/./b", "/a", "a//b", "a/", ".git", "a/.git/b", ".GIT/config"]
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(RepositoryFault, match="is a trap") as caught:
        check_paths(["x", path, "y/z"])
    assert caught.value.file == path


@pytest.mark.parametrize(
    "path", ["...", "..a", "a..", ".gitignore", ".github/x", "a.git/b", "a\t..", "a\n../b", "git/.."[:-3]]
)
def test_names_that_only_look_like_traps_are_taken(path: str) -> None:
    check_paths([path, "x"])


@pytest.mark.parametrize("path", [".wh.", ".wh.x", "a/.wh..wh..opq", "a/.wh.b/c"])
def test_names_that_a_layer_takes_for_removals_are_refused(path: str) -> None:
    with pytest.raises(RepositoryFault, match=r"begins with '\.wh\.'") as caught:
        check_paths(["x", path, "y/z"])
    assert caught.value.file == path
    check_paths([".whale", "a.wh.b", "wh."])


def test_a_name_is_a_file_or_a_folder() -> None:
    with pytest.raises(RepositoryFault, match="a is both a file and a folder"):
        check_paths(["a", "a/passwd"])
    with pytest.raises(RepositoryFault, match="a/b is both"):
        files_of(_listing(b"a/b", b"a/b/c/d"))
    with pytest.raises(RepositoryFault, match="two files of one name"):
        files_of(_listing(b"a", b"a"))


def test_names_are_as_long_as_a_disk_takes() -> None:
    check_paths(["ü" * 127, "/".join(["d" * 200] * 19)])
    for path in ("ü" * 128, "/".join(["d" * 200] * 20), "/".join("a" * 3000)):
        with pytest.raises(RepositoryFault, match="longer than a disk can hold"):
            check_paths([path])


def test_names_that_are_not_utf8_are_named() -> None:
    with pytest.raises(RepositoryFault, match=r"The name of d/caf\\xe9\.ipynb is not UTF-8") as caught:
        files_of(_listing(b"a", b"d/caf\xe9.ipynb", b"z"))
    assert caught.value.file == r"d/caf\xe9.ipynb"


def test_what_is_too_much_is_named() -> None:
    files = {"small": Entry("100644", 10), "data/x.bin": Entry("100644", 5_000_000_000)}
    check_sizes(files, 5_000_000_010)
    with pytest.raises(RepositoryFault, match=r"data/x\.bin has 5\.0 GB; a repository may have 4\.3 GB") as caught:
        check_sizes(files, 4 * 2**30)
    assert caught.value.file == "data/x.bin"
    with pytest.raises(RepositoryFault, match="more than 100,000 files"):
        files_of(_listing(*(b"%d" % number for number in range(100_001))))


def test_sizes_are_readable() -> None:
    assert [readable(size) for size in (0, 999, 1000, 123_456, 5 * 10**9, 10**16)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "123.5 kB",
        "5.0 GB",
        "10000.0 TB",
    ]


def test_folders_are_all_that_paths_lie_in() -> None:
    assert folders_of(["a/b/c", "a/d", "e", "f/g"]) == {"a", "a/b", "f"}


def test_50_000_files_are_read_in_no_time() -> None:
    listing = _listing(*(b"data/folder-%03d/sub-%d/file-%06d.txt" % (i % 300, i % 7, i) for i in range(50_000)))
    began = perf_counter()
    assert len(files_of(listing)) == 50_000
    assert perf_counter() - began < 2  # 0.15 s on a quiet machine
