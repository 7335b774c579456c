"""The files of a commit, as git lists them: what recipes, the planner and the content layer are decided from.

Pure: turns listings into files and refuses what no image can hold or what was made to trap us. Getting the listing is
`build.commits.git`'s.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from binder.errors import RepositoryFault

SUBMODULE = "160000"
LINK = "120000"
EXECUTABLE = "100755"

_MOST_FILES = 100_000
_LONGEST_NAME_BYTES = 255
_LONGEST_PATH_BYTES = 4000  # Linux takes 4,095, our own folder's name included
_TRAP = re.compile(r"\0(?:[^\0]*/)?(?:\.{0,2}|\.git)[/\0]", re.IGNORECASE)
_WHITEOUT = re.compile(r"\0(?:[^\0]*/)?\.wh\.")
_SUSPICIOUS = re.compile(r"[\0/](?:\.{0,2}|\.git)[/\0]", re.IGNORECASE)


class Entry(NamedTuple):
    """A file of a commit: git's mode (`100755` executable, `120000` a link, `160000` a submodule), bytes, object id.

    The size of a file that Git LFS keeps is the file's own; the object id is that of its pointer.
    """

    mode: str
    size: int
    object_id: str = ""


def files_of(listing: bytes) -> dict[str, Entry]:
    """Return the files in the output of `git ls-tree -r -l -z`: path → entry.

    Raises: RepositoryFault, where there are too many, or one has a name that cannot be, or is a trap.
    """
    files: dict[str, Entry] = {}
    lines = _decoded(listing).split("\0")
    lines.pop()
    if len(lines) > _MOST_FILES:
        raise too_many_files()
    # A line is `MODE KIND ID SIZE⇥PATH`; 50,000 of them come by here while somebody waits.
    for line in lines:
        head, _, path = line.partition("\t")
        mode, _, object_id, size = head.split()
        files[path] = Entry(mode, int(size) if size != "-" else 0, object_id)
    if len(files) < len(lines):
        raise RepositoryFault("The commit has two files of one name, which no folder can hold.", step="fetch")
    check_paths(files)
    for odd in {entry.mode for entry in files.values()} - {"100644", EXECUTABLE, LINK, SUBMODULE}:
        files |= {path: entry._replace(mode=_usual(path, odd)) for path, entry in files.items() if entry.mode == odd}
    return files


def regular_files(files: Mapping[str, Entry]) -> list[str]:
    """Return the paths of what is neither a link nor a submodule."""
    return [path for path, entry in files.items() if entry.mode not in {LINK, SUBMODULE}]


def check_paths(paths: Collection[str]) -> None:
    """Refuse paths that lead elsewhere, that no disk can hold, or that need one name for a file and a folder.

    Raises: RepositoryFault, naming the path.
    """
    joined = "\0" + "\0".join(paths) + "\0" if paths else ""
    if _SUSPICIOUS.search(joined) and (trap := _TRAP.search(joined)):
        path = joined[trap.start() + 1 :].partition("\0")[0]
        message = f"The path {shown(path)} is a trap: it has a part named '.', '..' or '.git', or one without a name."
        raise RepositoryFault(message, file=shown(path))
    # To a layer, such a name says that another file is gone: https://github.com/opencontainers/image-spec, layer.md
    if ("\0.wh." in joined or "/.wh." in joined) and (whiteout := _WHITEOUT.search(joined)):
        path = joined[whiteout.start() + 1 :].partition("\0")[0]
        message = f"The path {shown(path)} has a part that begins with '.wh.', which no image can hold. Rename it."
        raise RepositoryFault(message, file=shown(path))
    for path in paths:
        # A character has four bytes at most: what is short in characters need not be counted.
        if len(path) * 4 > _LONGEST_NAME_BYTES:
            _check_length(path)
    both = folders_of(paths) & set(paths)
    if both:
        raise RepositoryFault(f"{shown(min(both))} is both a file and a folder in the commit, which no disk can hold.")


def folders_of(paths: Iterable[str]) -> set[str]:
    """Return every folder that the paths lie in, without a slash at the end; the root is not among them."""
    found: set[str] = set()
    for parent in {path.rpartition("/")[0] for path in paths}:
        folder = parent
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def check_sizes(files: Mapping[str, Entry], most_bytes: int) -> None:
    """Refuse files that are together more than a build may have.

    Raises: RepositoryFault, naming the largest file.
    """
    if len(files) > _MOST_FILES:
        raise too_many_files()
    if sum(entry.size for entry in files.values()) > most_bytes:
        largest = max(files, key=lambda path: files[path].size)
        raise RepositoryFault(
            f"{shown(largest)} has {readable(files[largest].size)}; a repository may have {readable(most_bytes)} "
            "in all its files. Fetch large data from where it is published, in a notebook or in postBuild.",
            file=shown(largest),
        )


def too_many_files() -> RepositoryFault:
    """Return the fault of a repository that has more files than a build takes."""
    return RepositoryFault(
        f"The repository has more than {_MOST_FILES:,} files, which is too many to be built. "
        "Put what belongs together into archives, or leave out what notebooks do not need.",
        step="fetch",
    )


def readable(size: int) -> str:
    """Return a number of bytes as a person would say it: `5.0 GB`."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.1f} {unit}" if unit != "bytes" else f"{size} bytes"
        amount /= 1000
    return f"{amount:.1f} TB"


def shown(path: str) -> str:
    """Return a path that can stand in a sentence, whatever is in it."""
    text = path.encode("unicode_escape").decode() if not path.isprintable() else path
    return text if len(text) <= 200 else f"{text[:200]}…"


def _decoded(listing: bytes) -> str:
    try:
        return listing.decode()
    except UnicodeDecodeError as error:
        start, end = listing.rfind(b"\0", 0, error.start) + 1, listing.find(b"\0", error.start)
        name = listing[start:end].partition(b"\t")[2].decode(errors="backslashreplace")
        raise RepositoryFault(f"The name of {shown(name)} is not UTF-8. Rename it.", file=shown(name)) from error


def _check_length(path: str) -> None:
    parts = [len(part.encode()) for part in path.split("/")]
    if max(parts) > _LONGEST_NAME_BYTES or sum(parts) + len(parts) > _LONGEST_PATH_BYTES:
        raise RepositoryFault(f"The path {shown(path)} is longer than a disk can hold. Shorten it.", file=shown(path))


def _usual(path: str, mode: str) -> str:
    """Return what git takes an odd mode for: old programs wrote `100664`."""
    if not mode.startswith("100"):
        raise RepositoryFault(f"{shown(path)} is of a kind that git does not know ({mode}).", file=shown(path))
    return EXECUTABLE if int(mode, 8) & 0o100 else "100644"
