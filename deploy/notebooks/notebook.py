"""A notebook's file, as strangers write it: its cells, and where in the file each of their lines stands. Pure.

Only what is needed is looked at, and nothing is taken for granted: what is not as nbformat 4 says is a fault, or left
out.

Source: https://nbformat.readthedocs.io/en/latest/format_description.html
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from binder.errors import RepositoryFault
from binder.plain_text import plain_lines

LARGEST_BYTES = 16 * 2**20
"""No larger notebook is read."""

Kind: TypeAlias = Literal["code", "markdown", "raw"]

_MOST_CELLS = 2000
_LONGEST_NAME = 100
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)

Place: TypeAlias = tuple[object, ...]


@dataclass(frozen=True)
class Cell:
    """A cell; `lines` are the file's lines on which the lines of its source stand. `outputs` are as the file has them.

    `number` counts the cells of the notebook from 1.
    """

    number: int
    kind: Kind
    source: str
    lines: tuple[int, ...] = ()
    tags: frozenset[str] = frozenset()
    outputs: tuple[Mapping[str, Any], ...] = ()

    def line(self, within: int = 1) -> int:
        """Return the file's line of a line of the source, counted from 1."""
        if not self.lines:
            return 1
        return self.lines[min(max(within, 1), len(self.lines)) - 1]


@dataclass(frozen=True)
class Notebook:
    """A notebook; `kernel` and `language` are what it asks for, empty where it does not say."""

    cells: tuple[Cell, ...]
    kernel: str = ""
    language: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)


def read_notebook(path: str, data: bytes) -> Notebook:
    """Read a notebook's file.

    Raises: RepositoryFault, with the line where one is known.
    """
    if len(data) > LARGEST_BYTES:
        raise RepositoryFault(f"{path} is larger than {LARGEST_BYTES // 2**20} MiB.", file=path)
    try:
        text = data.decode("utf-8-sig")
        root = json.loads(text)
    except json.JSONDecodeError as error:
        raise RepositoryFault(f"{path} is no notebook: it is not valid JSON.", file=path, line=error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise RepositoryFault(f"{path} is no notebook: it cannot be read.", file=path) from error
    if not isinstance(root, dict) or not isinstance(root.get("cells"), list) or root.get("nbformat") != 4:
        raise RepositoryFault(f"{path} is no notebook of the format's version 4. Save it anew in Jupyter.", file=path)
    if len(root["cells"]) > _MOST_CELLS:
        raise RepositoryFault(f"{path} has more than {_MOST_CELLS} cells.", file=path)
    lines = _lines_in(text)
    cells = tuple(_cell(number, cell, lines) for number, cell in enumerate(root["cells"], 1))
    metadata = _table(root.get("metadata"))
    return Notebook(cells, *_kernel_of(metadata), metadata)


def text_of(value: object) -> str:
    """Return a text that may be written as a list of its lines; an empty one, where it is none."""
    if isinstance(value, list):
        return "".join(item for item in value if isinstance(item, str))
    return value if isinstance(value, str) else ""


def plain(text: str) -> str:
    """Return a text as a person would read it: without what terminals take for commands, and what cannot be seen."""
    return "".join(one for one in plain_lines(text) if one.isprintable() or one in "\n\t")


def _cell(number: int, cell: object, lines: Mapping[Place, int]) -> Cell:
    if not isinstance(cell, dict):
        return Cell(number, "raw", "")
    written, kind = cell.get("source"), cell.get("cell_type")
    outputs = cell.get("outputs")
    tags = _table(cell.get("metadata")).get("tags")
    return Cell(
        number,
        "code" if kind == "code" else "markdown" if kind == "markdown" else "raw",
        text_of(written),
        _source_lines(number - 1, written, lines),
        frozenset(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else frozenset(),
        tuple(one for one in outputs if isinstance(one, dict)) if isinstance(outputs, list) else (),
    )


def _source_lines(index: int, written: object, lines: Mapping[Place, int]) -> tuple[int, ...]:
    of_cell = lines.get(("cells", index), 1)
    whole = lines.get(("cells", index, "source"), of_cell)
    if not isinstance(written, list):
        return (whole,) * (text_of(written).count("\n") + 1)
    found: list[int] = []
    continues = False
    for number, piece in enumerate(written):
        if not isinstance(piece, str) or not piece:
            continue
        line = lines.get(("cells", index, "source", number), whole)
        begun = piece.count("\n") + (not piece.endswith("\n"))
        found += [line] * (begun - continues)
        continues = not piece.endswith("\n")
    return tuple(found) or (whole,)


def _kernel_of(metadata: Mapping[str, Any]) -> tuple[str, str]:
    spec, language = _table(metadata.get("kernelspec")), _table(metadata.get("language_info"))
    return _word(spec.get("name")), _word(spec.get("language")) or _word(language.get("name"))


def _word(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST_NAME else ""


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _lines_in(text: str) -> dict[Place, int]:
    """Return the lines, counted from 1, of cells, of their sources and of the pieces of these, in valid JSON."""
    lines: dict[Place, int] = {}
    around: list[tuple[bool, Any]] = []  # whether it is a table; the key or number of what comes next, None: a key
    line, seen = 1, 0
    for token in _TOKEN.finditer(text):
        line += text.count("\n", seen, token.start())
        seen, word = token.start(), token[0]
        if word in {"}", "]"}:
            around.pop()
        elif word == ",":
            is_table, number = around[-1]
            around[-1] = (is_table, None if is_table else number + 1)
        elif word != ":":
            if around and around[-1] == (True, None):
                around[-1] = (True, json.loads(word) if len(around) in {1, 3} else "")
                continue
            if 2 <= len(around) <= 4:
                _note(lines, tuple(key for _, key in around), line)
            if word in {"{", "["}:
                around.append((word == "{", None if word == "{" else 0))
    return lines


def _note(lines: dict[Place, int], place: Place, line: int) -> None:
    if place[0] == "cells" and (len(place) == 2 or place[2] == "source"):
        lines[place] = line


def kernel_for(notebook: Notebook, specs: Mapping[str, Any]) -> str:
    """Return the kernel that a notebook is run with, of those that a server has: its own, or one of its language.

    `specs` is the server's account (`GET api/kernelspecs`).
    Raises: RepositoryFault, where there is none.
    """
    there = _table(specs.get("kernelspecs"))
    default = _word(specs.get("default"))
    if notebook.kernel in there:
        return notebook.kernel
    if not notebook.kernel and not notebook.language:
        return default
    names: Sequence[str] = sorted(there, key=lambda name: (name != default, name))
    for name in names:
        if notebook.language and _language_of(there[name]).lower() == notebook.language.lower():
            return name
    asked = plain(notebook.kernel or notebook.language)
    raise RepositoryFault(f"It asks for the kernel `{asked}`, which is not in the image.")


def _language_of(spec: object) -> str:
    return _word(_table(_table(spec).get("spec")).get("language"))
