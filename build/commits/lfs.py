"""Git LFS: which files of a commit are pointers to content that lies elsewhere. Pure; `build.commits.git` fetches.

Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from binder.errors import BinderError, OperatorFault, RepositoryFault, WorldFault
from build.commits.tree import Entry, shown

# Only what git-lfs itself writes, without extensions: what else it would take for a pointer stays the text that it is.
_POINTER = re.compile(
    rb"\Aversion https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize ([1-9][0-9]{0,17})\n?\Z"
)
_SHORTEST, _LONGEST = 125, 144
_LARGEST_ATTRIBUTES_BYTES = 2**20
_TRANSIENT = re.compile(r"\b(?:5\d\d|429)\b|timeout|timed out|connection|dial tcp|no such host|eof", re.IGNORECASE)
_SAYS_NOTHING = ("error: failed to fetch some objects", "fetch: Fetching", "Errors logged")


@dataclass(frozen=True)
class Pointer:
    """What stands in a commit for a large file: the sha256 of its content, and its bytes."""

    sha256: str
    size: int


def attributes_in(files: Mapping[str, Entry]) -> list[str]:
    """Return the files that may say that Git LFS keeps others."""
    return [
        path
        for path, entry in files.items()
        if path.endswith(".gitattributes")
        and path.rpartition("/")[2] == ".gitattributes"
        and entry.mode.startswith("100")
        and entry.size <= _LARGEST_ATTRIBUTES_BYTES
    ]


def uses_lfs(attributes: Iterable[bytes]) -> bool:
    """Whether the texts of `.gitattributes` leave any file to Git LFS."""
    return any(b"filter=lfs" in text for text in attributes)


def may_be_pointer(entry: Entry) -> bool:
    """Whether a file has the form and the size of a pointer."""
    return entry.mode.startswith("100") and _SHORTEST <= entry.size <= _LONGEST


def pointer_of(content: bytes) -> Pointer | None:
    """Return the pointer that a file is, or None where it is none."""
    found = _POINTER.match(content)
    return Pointer(found[1].decode(), int(found[2])) if found else None


def listing_of(object_ids: Iterable[str]) -> bytes:
    """Return a folder of pointers, as `git mktree` takes it: all that git-lfs gets to see of a commit."""
    unique = sorted(set(object_ids))
    return "".join(f"100644 blob {object_id}\t{object_id}\n" for object_id in unique).encode()


def place_of(pointer: Pointer) -> str:
    """Return where git-lfs keeps the content, below its own folder of objects."""
    return f"{pointer.sha256[:2]}/{pointer.sha256[2:4]}/{pointer.sha256}"


def fault_of_unknown_host(large: Mapping[str, Pointer]) -> RepositoryFault:
    """Return the fault of files that are kept at a host of which nobody here knows more than its address."""
    return RepositoryFault(
        "Files of Git LFS are fetched from GitHub, GitLab and the hosts that the operator of this service lists. "
        "Put the file into the repository itself, or ask the operator.",
        file=min(large),
        step="fetch",
    )


def fault_of_lfs(pointers: Mapping[str, Pointer], output: str) -> BinderError:
    """Return whose fault it is that git-lfs failed, by what it said; `pointers` are those that were asked for."""
    if "no space left" in output.lower():
        return OperatorFault("The disk of this service is full. Free some space, then try again.")
    if "'lfs' is not a git command" in output:
        return OperatorFault("git-lfs is not installed. Run `make set-up`.")
    said = next((line.strip() for line in reversed(output.splitlines()) if _is_telling(line)), "it said nothing")
    lines = output.splitlines()
    gone = {path for path, pointer in pointers.items() if any(pointer.sha256 in line for line in lines)}
    path = min(gone or pointers)
    if not gone and _TRANSIENT.search(output):
        return WorldFault(f"Git LFS could not fetch {shown(path)}: {said[:300]}")
    return RepositoryFault(
        f"Git LFS cannot fetch the content of {shown(path)}: {said[:300]}. Push it with `git lfs push --all`, and see "
        "that the repository's LFS storage may be read.",
        file=shown(path),
        step="fetch",
    )


def _is_telling(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(_SAYS_NOTHING)
