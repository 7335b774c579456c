"""What a requirements.txt says, line by line, as far as a build must know before pip's successor reads it.

Source: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

import codecs
import re
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from binder.errors import RepositoryFault

# Each of these looks at a character once: a line may be a million spaces.
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$")
_NAME = re.compile(r"\A([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[|[<>=!~;@(\s]|\Z)")
_INDEX = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--pre", "--trusted-host")
_FILES = ("-r", "--requirement", "-c", "--constraint", "-e", "--editable")
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
class Requirements:
    """A requirements.txt: where it is, its text, the lines of its packages, and its options for package indexes.

    `lines` maps a package's normalised name to the line, counted from 1, that asks for it.
    """

    path: str
    text: str
    lines: dict[str, int]
    index_options: tuple[str, ...]


def text_of(content: bytes) -> str:
    """Return the text of a file: UTF-8, or what the mark at its beginning says, as editors of Windows write it.

    Source: https://pip.pypa.io/en/stable/reference/requirements-file-format/#encoding
    """
    mark = next((mark for mark in _MARKS if content.startswith(mark)), b"")
    return content.removeprefix(mark).decode(_MARKS.get(mark, "utf-8"), errors="replace")


def read_requirements(path: str, text: str) -> Requirements:
    """Read the text of a requirements.txt.

    Raises: RepositoryFault, with the line, where it refers to files of the repository.
    """
    lines: dict[str, int] = {}
    options: list[str] = []
    for number, line in _logical_lines(text):
        if line.startswith(_FILES) or _is_place_here(line):
            raise RepositoryFault(
                f"{path} line {number} refers to a file of the repository, which this version cannot install yet.",
                file=path,
                line=number,
            )
        if line.startswith(_INDEX):
            options.append(line)
        elif name := _NAME.match(line):
            lines.setdefault(canonicalize_name(name[1]), number)
    return Requirements(path, text, lines, tuple(options))


def _is_place_here(line: str) -> bool:
    """Whether a line names a path, or the address of a file, and not a package or an address on the network."""
    links = _FIND_LINKS.match(line)
    place = links[1] if links else _END_OF_PLACE.split(line, maxsplit=1)[0].rstrip()
    if scheme := _SCHEME.match(place):
        return scheme[1].lower().endswith("file")
    return bool(links) or (not place.startswith("-") and bool(_PATH.search(place)))


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines that say something: comments gone, continuations joined, each with the number of its first."""
    found: list[tuple[int, str]] = []
    pending, start = "", 1
    for number, raw in enumerate(_LINE_END.split(text), start=1):
        start = start if pending else number
        is_comment = raw.lstrip().startswith("#")
        if raw.endswith("\\") and not is_comment:
            pending += raw[:-1] or " "
            continue
        found.append((start, pending + (" " if is_comment else "") + raw))
        pending = ""
    found.append((start, pending))
    return [(number, said) for number, line in found if (said := _COMMENT.sub("", line).strip())]
