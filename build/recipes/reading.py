"""The configuration files of a repository, as far as they have been read: their text, and the TOML or JSON in it.

Owns links, sizes and syntax, and finds which files must be read next; what a file means is left to a module of its own
kind. Nothing here touches the repository: what is not read yet is asked for by `NotReadYet`.
"""

import json
import re
import tomllib
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice, takewhile

from packaging.utils import canonicalize_name

from binder.errors import RepositoryFault
from build.commits.tree import Entry

LARGEST_BYTES = 2**20
LARGEST_LOCK_BYTES = 2**24
_LARGEST_PARSED = 2**22  # what is left of a lock without the files of its packages
_LONGEST_LINK_BYTES = 4096
_MOST_LINKS = 8

_LINK, _SUBMODULE = "120000", "160000"
# The files of each package, one a line, are nine tenths of a lock; nothing here asks for them.
_FILE_OF_A_PACKAGE = re.compile(r'^    \{ ?(?:url|file) = "[^"\n]*"[^\n]*\n', re.MULTILINE)
# To tomllib, a key of many parts costs the square of their number: a file of 1 MiB would take days.
_QUOTED_PART = r"""(?:"(?:[^"\\\n]++|\\.)*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![\w-])[\w-]++(?:[ \t]*+\.[ \t]*+(?:[\w-]++|{_QUOTED_PART})){{48}}")
_LONG_QUOTED_KEY = re.compile(rf"{_QUOTED_PART}(?:[ \t]*+\.[ \t]*+{_QUOTED_PART}){{16}}")
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_NAMED = re.compile(r"""\A[ \t]*(?:[\w.-]+[ \t]*=[ \t]*\[[ \t]*)?["']?([A-Za-z0-9][\w.-]*)""")
_QUOTED = re.compile(r"""["']([A-Za-z0-9][\w.-]*)""")


class NotReadYet(Exception):
    """The text of these files is needed, and was not given."""

    def __init__(self, *paths: str) -> None:
        super().__init__(*paths)
        self.paths = paths


@dataclass(frozen=True)
class Reading:
    """The files of a commit, and the texts of those that were read (of a link: where it leads)."""

    files: Mapping[str, Entry]
    texts: Mapping[str, str]

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.files)

    def below(self, path: str) -> list[str]:
        """Return the files in a folder and its folders, or the file of that path alone; "" is the root."""
        if path in self.files:
            return [path]
        start = f"{path}/" if path else ""
        first = bisect_left(self._sorted, start)
        return list(takewhile(lambda file: file.startswith(start), islice(self._sorted, first, None)))

    def require(self, *paths: str) -> None:
        """Ask for all of these at once, as far as they can be read, rather than for one after the other.

        Raises: NotReadYet.
        """
        entries = [(path, self.files[path]) for path in paths if path in self.files and path not in self.texts]
        readable = (path for path, entry in entries if entry.size <= LARGEST_BYTES)
        if missing := tuple(dict.fromkeys(path for path in readable if self.files[path].mode != _SUBMODULE)):
            raise NotReadYet(*missing)

    def text(self, path: str, largest_bytes: int = LARGEST_BYTES) -> str:
        """Return the text of a file, behind links too, as long as they stay in the repository.

        Raises: NotReadYet; RepositoryFault.
        """
        place = path
        for _ in range(_MOST_LINKS):
            entry = self.files.get(place)
            if entry is None:
                raise RepositoryFault(f"{path} leads to {place}, which the repository does not have.", file=path)
            if entry.mode == _LINK:
                place = self._behind(path, place)
                continue
            if not entry.mode.startswith("100"):
                raise RepositoryFault(f"{path} must be a file; it is a submodule.", file=path)
            if entry.size > largest_bytes:
                limit = f"{largest_bytes // 2**20} MiB"
                raise RepositoryFault(f"{path} is larger than {limit}, which no such file is.", file=path)
            if place not in self.texts:
                raise NotReadYet(place)
            return self.texts[place]
        raise RepositoryFault(f"{path} is a link to a link to a link, and so on. Put the file there itself.", file=path)

    def _behind(self, path: str, link: str) -> str:
        if self.files[link].size > _LONGEST_LINK_BYTES:
            raise RepositoryFault(f"{path} is a link to nowhere.", file=path)
        if link not in self.texts:
            raise NotReadYet(link)
        place = path_within(link.rpartition("/")[0], self.texts[link])
        if not place:
            raise RepositoryFault(f"{path} is a link that leads out of the repository.", file=path)
        return place

    def toml(self, path: str, largest_bytes: int = LARGEST_BYTES) -> Mapping[str, object]:
        """Return what a TOML file says; the lists of a lock's files are left out.

        Raises: NotReadYet; RepositoryFault, with the line.
        """
        text = self.text(path, largest_bytes)
        if largest_bytes > LARGEST_BYTES:
            text = _FILE_OF_A_PACKAGE.sub("", text)
        if len(text) > _LARGEST_PARSED:
            raise RepositoryFault(f"{path} is longer than what can be read here.", file=path)
        return _toml(path, text)

    def json(self, path: str, largest_bytes: int = LARGEST_BYTES) -> Mapping[str, object]:
        """Return what a JSON file says.

        Raises: NotReadYet; RepositoryFault, with the line.
        """
        text = self.text(path, largest_bytes)
        try:
            return table(json.loads(text))
        except RecursionError:
            raise RepositoryFault(f"{path} is nested too deeply.", file=path) from None
        except ValueError as error:
            line = getattr(error, "lineno", None)
            raise RepositoryFault(f"{path} is not JSON: {error}.", file=path, line=line) from error


@lru_cache(maxsize=2)  # one file is read again for each that it leads to
def _toml(path: str, text: str) -> Mapping[str, object]:
    if _LONG_KEY.search(text) or _LONG_QUOTED_KEY.search(text):
        raise RepositoryFault(f"{path} has a key of too many parts.", file=path)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise RepositoryFault(f"{path} is nested too deeply.", file=path) from None
    except ValueError as error:
        at = _AT_LINE.search(str(error))
        said = _AT_LINE.sub("", str(error)).strip().rstrip(".")
        raise RepositoryFault(f"{path} is not TOML: {said}.", file=path, line=int(at[1]) if at else None) from error


def path_within(folder: str, path: str) -> str | None:
    """Return where `path`, seen from `folder`, is in the repository ("" is its root); None if outside of it."""
    if path.startswith("/"):
        return None
    parts = folder.split("/") if folder else []
    for part in path.split("/"):
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def lines_naming(text: str) -> dict[str, int]:
    """Return for each package that TOML or JSON may name, by its normalised name, the first line that does."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        first = _NAMED.match(line)
        names = [first[1]] if first else []
        for name in [*names, *_QUOTED.findall(line)]:
            found.setdefault(canonicalize_name(name), number)
    return found


def table(value: object) -> Mapping[str, object]:
    """Return a table of a file that anybody may have written; what is no table is an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[Mapping[str, object]]:
    """Return the tables in a list; what is none is left out."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def words(value: object) -> tuple[str, ...]:
    """Return the strings in a list; what is none is left out."""
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()


def word(value: object) -> str | None:
    """Return a string, or None for anything else."""
    return value if isinstance(value, str) else None
