"""What a requirements.txt says, line by line, as far as a build must know before pip's successor reads it.

Source: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

import re
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from binder.errors import RepositoryFault

_COMMENT = re.compile(r"(^|\s+)#.*$")
_NAME = re.compile(r"\A([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[|[<>=!~;@(\s]|\Z)")
_INDEX = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--pre", "--trusted-host")
_FILES = ("-r", "--requirement", "-c", "--constraint", "-e", "--editable")
_LOCAL = re.compile(r"(\A|@\s*)(file:|\.{0,2}/)|\A[^@#]*[\\/][^@]*\Z")
_CONTINUED = re.compile(r"(?<!\\)\\$")


@dataclass(frozen=True)
class Requirements:
    """A requirements.txt: where it is, its text, the lines of its packages, and its options for package indexes.

    `lines` maps a package's normalised name to the line, counted from 1, that asks for it.
    """

    path: str
    text: str
    lines: dict[str, int]
    index_options: tuple[str, ...]


def read_requirements(path: str, text: str) -> Requirements:
    """Read the text of a requirements.txt.

    Raises: RepositoryFault, with the line, where it refers to files of the repository.
    """
    lines: dict[str, int] = {}
    options: list[str] = []
    for number, line in _logical_lines(text):
        if line.startswith(_INDEX):
            options.append(line)
        elif line.startswith(_FILES) or _LOCAL.search(line.split(";")[0].strip()):
            raise RepositoryFault(
                f"{path} line {number} refers to a file of the repository, which this version cannot install yet.",
                file=path,
                line=number,
            )
        elif name := _NAME.match(line):
            lines.setdefault(canonicalize_name(name[1]), number)
    return Requirements(path, text, lines, tuple(options))


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines that say something: comments gone, continuations joined, each with the number of its first."""
    found: list[tuple[int, str]] = []
    pending, start = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        start = start if pending else number
        if _CONTINUED.search(raw):
            pending += raw[:-1]
            continue
        line = _COMMENT.sub("", pending + raw).strip()
        pending = ""
        if line:
            found.append((start, line))
    return found
