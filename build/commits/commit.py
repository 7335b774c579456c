"""A commit that was fetched: its files, and which repository each of them comes from. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from build.commits.lfs import Pointer
from build.commits.sources import Source
from build.commits.tree import Entry


@dataclass(frozen=True)
class Part:
    """A submodule's commit, at a path of the commit that it is part of; the commit itself is at the path `""`."""

    path: str
    source: Source
    sha: str

    @property
    def below(self) -> str:
        """What the paths of its files begin with in the whole commit."""
        return f"{self.path}/" if self.path else ""


@dataclass(frozen=True)
class Commit:
    """A commit that was fetched: its tree, its time (seconds of the epoch) and its files, those of submodules too.

    `submodules` maps paths to what lies there; `large` maps the files that Git LFS keeps to what the commit says of
    them. All that is in the files follows from the tree: a submodule's commit and a pointer's sha256 are part of it.
    """

    sha: str
    tree: str
    time: int
    files: Mapping[str, Entry]
    submodules: Mapping[str, Part] = field(default_factory=dict)
    large: Mapping[str, Pointer] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """Files that can be read one after another from one place: a repository's objects, or what Git LFS keeps of it."""

    part: Part
    is_large: bool
    paths: Sequence[str]


def runs_of(source: Source, commit: Commit, paths: Sequence[str]) -> Iterator[Run]:
    """Give files of a commit of `source` in the order in which they are read: sorted, what Git LFS keeps at the end."""
    root = Part("", source, commit.sha)
    ordered = sorted(set(paths), key=lambda path: (path in commit.large, path))

    def place(path: str) -> tuple[str, bool]:
        return _home(path, commit.submodules), path in commit.large

    for (home, is_large), run in groupby(ordered, place):
        yield Run(commit.submodules.get(home, root), is_large, tuple(run))


def _home(path: str, submodules: Mapping[str, Part]) -> str:
    """Return the path of the innermost submodule that a file lies in, or nothing where it lies in none."""
    while submodules and path:
        path = path.rpartition("/")[0]
        if path in submodules:
            return path
    return ""
