"""What a requirements.txt says, line by line, as far as a build must know before pip's successor reads it.

Owns one file: its packages, and what it refers to of the repository. Where that is, is left to `build.recipes.asked`.

Source: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

import codecs
import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from binder.errors import RepositoryFault

# Each of these looks at a character once: a line may be a million spaces.
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$")
_NAME = re.compile(r"\A([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[|[<>=!~;@(\s]|\Z)")
_INDEX = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--pre", "--trusted-host")
_LIST = re.compile(r"\A(?:-r|-c|--(?:requirement|constraint)s?(?=[\s=]))[\s=]*+(.*)\Z")
_EDITABLE = re.compile(r"\A(?:-e|--editable(?=[\s=]))[\s=]*+(.*)\Z")
_NETWORK = re.compile(r"\Ahttps?://", re.IGNORECASE)
_ON_NETWORK = re.compile(r"\A(?:https?|(?:git|hg|bzr|svn)\+(?:https?|ssh|git|lp|svn))://", re.IGNORECASE)
_NAMED_PLACE = re.compile(r"\A[\w.-]+\s*+(?:\[([^\]]*)\]\s*+)?@\s*+")
# Where the repository is when what it asks for is installed, as files that run on mybinder.org say it.
_HOME = re.compile(r"\A(?:/home/jovyan|\$\{(?:PWD|HOME|REPO_DIR)\})(?=/|\Z)")
_LONGEST_REQUIREMENT = 10_000
_FIND_LINKS = re.compile(r"\A(?:-f|--find-links)[\s=]*(.*)\Z")
_END_OF_PLACE = re.compile(r";|\s--")
_SCHEME = re.compile(r"\A(?:[\w.,\[\]\s-]+@\s*)?([\w.+-]+):")
_PATH = re.compile(r"\A\.|[\\/]|\.(?:whl|zip|tgz|tar\.\w+)\Z")
_LINE_END = re.compile(r"\r\n|\r|\n")
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # begins with the next one
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


@dataclass(frozen=True)
class Reference:
    """What a line refers to: another list, or a place of the repository that is itself installed.

    `path` is as written, without what is said of it besides; to a list, it is relative to the file that names it.
    """

    kind: Literal["list", "place"]
    path: str
    line: int
    editable: bool = False
    extras: tuple[str, ...] = ()


@dataclass(frozen=True)
class Requirements:
    """A requirements.txt: where it is, its text, the lines of its packages, and its options for package indexes.

    `lines` maps a package's normalised name to the line, counted from 1, that asks for it. `text` has as many lines as
    the file, and is empty where that refers to a place of the repository, for resolving may not see it.
    """

    path: str
    text: str
    lines: dict[str, int]
    index_options: tuple[str, ...]
    references: tuple[Reference, ...] = ()


def text_of(content: bytes) -> str:
    """Return the text of a file: UTF-8, or what the mark at its beginning says, as editors of Windows write it.

    Source: https://pip.pypa.io/en/stable/reference/requirements-file-format/#encoding
    """
    mark = next((mark for mark in _MARKS if content.startswith(mark)), b"")
    return content.removeprefix(mark).decode(_MARKS.get(mark, "utf-8"), errors="replace")


@dataclass
class _Reader:
    """Collects what the lines of one file say."""

    path: str
    lines: dict[str, int] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    instead: dict[int, str] = field(default_factory=dict)

    def take(self, number: int, line: str) -> None:
        """Take a logical line, by the number of its first.

        Raises: RepositoryFault, with the line.
        """
        if listed := _LIST.match(line):
            path = listed[1].strip().strip("\"'")
            if not _NETWORK.match(path):
                self.references.append(Reference("list", path, number))
        elif editable := _EDITABLE.match(line):
            self._take_editable(number, editable[1])
        elif _is_place_here(line):
            self._take_place(number, line, editable=False)
        elif line.startswith(_INDEX):
            self.options.append(line)
        elif name := package_named(line):
            self.lines.setdefault(name, number)

    def _take_editable(self, number: int, place: str) -> None:
        if (scheme := _SCHEME.match(place)) and not scheme[1].lower().endswith("file"):
            self.instead[number] = place  # where uv resolves, nothing is checked out to be edited
            return
        self._take_place(number, place, editable=True)

    def _take_place(self, number: int, line: str, *, editable: bool) -> None:
        if _FIND_LINKS.match(line):
            raise self._fault(number, "looks for packages in a folder. Name the files in it, one a line: `./x.whl`.")
        place, *rest = _END_OF_PLACE.split(line, maxsplit=1)
        if rest and line[len(place)] == ";":
            raise self._fault(number, "installs a part of the repository on a condition. Leave the condition out.")
        path, extras = _path_and_extras(place.strip().strip("\"'"))
        if path is None:
            raise self._fault(
                number, "refers to a file outside of the repository. Only what is in it can be installed."
            )
        self.instead[number] = ""
        self.references.append(Reference("place", path, number, editable, extras))

    def _fault(self, number: int, problem: str) -> RepositoryFault:
        return RepositoryFault(f"{self.path} line {number} {problem}", file=self.path, line=number)


def read_requirements(path: str, text: str) -> Requirements:
    """Read the text of a requirements.txt.

    Raises: RepositoryFault, with the line, where it refers to what no resolving can see.
    """
    reader, physical = _Reader(path), _LINE_END.split(text)
    for first, last, line in _logical_lines(physical):
        reader.take(first, line)
        if first in reader.instead:
            physical[first - 1 : last] = [reader.instead[first], *[""] * (last - first)]
    text = "\n".join(physical) if reader.instead else text
    return Requirements(path, text, reader.lines, tuple(reader.options), tuple(reader.references))


def package_named(line: str) -> str | None:
    """Return the normalised name of the package that a line asks for, or None if it names none."""
    name = _NAME.match(line)
    return canonicalize_name(name[1]) if name else None


def requirement_of(said: str, path: str, line: int | None = None) -> str:
    """Return a package that is asked for, in the form of PEP 508: one line, and no file of the machine.

    Raises: RepositoryFault.
    """
    said, requirement = " ".join(said.split()), None
    if said.isprintable() and len(said) <= _LONGEST_REQUIREMENT:
        with contextlib.suppress(InvalidRequirement, RecursionError):
            requirement = Requirement(said)
    if requirement is None or (requirement.url and not _ON_NETWORK.match(requirement.url)):
        shown = said if len(said) <= 80 else said[:79] + "…"
        problem = "refers to a file of its own" if requirement else "asks for what is not a package"
        raise RepositoryFault(f"{path} {problem}: {shown!r}.", file=path, line=line)
    return str(requirement)


def _is_place_here(line: str) -> bool:
    """Whether a line names a path, or the address of a file, and not a package or an address on the network."""
    links = _FIND_LINKS.match(line)
    place = links[1] if links else _END_OF_PLACE.split(line, maxsplit=1)[0].rstrip()
    if scheme := _SCHEME.match(place):
        return scheme[1].lower().endswith("file")
    return bool(links) or (not place.startswith("-") and bool(_PATH.search(place)))


def _path_and_extras(place: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the path, relative to the folder of the resolving, and the extras; None is one outside of that."""
    extras: list[str] = []
    if named := _NAMED_PLACE.match(place):
        extras += (named[1] or "").split(",")
        place = place[named.end() :]
    place, _, fragment = place.partition("#")
    for part in (place, *fragment.split("&")):
        if part.endswith("]"):
            extras += part[:-1].rpartition("[")[2].split(",")
    if place.endswith("]"):
        place = place[:-1].rpartition("[")[0]
    if scheme := _SCHEME.match(place):
        if scheme[1].lower() != "file":
            return None, ()
        place = unquote(place[scheme.end() :]).removeprefix("//").removeprefix("localhost/")
    place = _HOME.sub(".", place, count=1)
    names = sorted({canonicalize_name(extra.strip()) for extra in extras if extra.strip()})
    return (None if place.startswith("/") else place), tuple(names)


def _logical_lines(physical: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Give the lines that say something: comments gone, continuations joined, each with its first and last number."""
    pending, start, number = "", 1, 0
    for number, raw in enumerate(tuple(physical), start=1):
        start = start if pending else number
        is_comment = raw.lstrip().startswith("#")
        if raw.endswith("\\") and not is_comment:
            pending += raw[:-1] or " "
            continue
        if said := _COMMENT.sub("", pending + (" " if is_comment else "") + raw).strip():
            yield start, number, said
        pending = ""
    if said := _COMMENT.sub("", pending).strip():
        yield start, number, said
