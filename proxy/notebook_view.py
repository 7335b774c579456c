"""A notebook as it ran, made ready for a page; and what changed between two of them. Pure.

All of it is a stranger's. Texts stay texts; pictures are of kinds that hold no program, and go into the page as data;
HTML goes into a frame of its own, without scripts and without an origin, inside of a page that has neither. Markdown
becomes HTML by a reader that knows no HTML. What is too much is left out, and said to be.

nbconvert is not used: its pages load scripts from elsewhere, and run what outputs bring.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher, unified_diff
from typing import Any, Final, Literal, TypeAlias

from markupsafe import Markup

from deploy.notebooks.comparing import texts_of
from deploy.notebooks.notebook import plain, text_of

Kind: TypeAlias = Literal["text", "error", "html", "image", "note"]
Change: TypeAlias = Literal["", "same", "added", "removed", "changed"]

_IMAGES: Final = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/gif": b"GIF8"}
_TEXTS: Final = ("text/markdown", "text/latex", "text/plain", "application/json")
_LARGEST_BYTES = 64 * 2**20
_MOST_CELLS = 500
_MOST_SHOWN = 12 * 2**20
_LONGEST_TEXT = 100_000
_LONGEST_HTML = 2**20
_LONGEST_IMAGE = 4 * 2**20
_LONGEST_MARKDOWN = 20_000
_MOST_COMPARED_LINES = 2000
_AROUND = 2
_TOO_MUCH = "There is more of this than a page can show."
_NOT_SHOWN = "An output of a kind that is not shown here."


@dataclass(frozen=True)
class OutputView:
    """An output: `value` is a text, HTML for a frame, or the address of a picture as data."""

    kind: Kind
    value: str


@dataclass(frozen=True)
class CellView:
    """A cell. `prose` is HTML of ours, of a cell in Markdown.

    Where it changed, `lines` are those of its source and `said` those of what its outputs say, each with a sign in
    front; they stand in the place of these.
    """

    kind: str
    number: int
    count: int | None
    source: str
    prose: str = ""
    outputs: tuple[OutputView, ...] = ()
    change: Change = ""
    lines: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    told: tuple[str, ...] = field(default=(), repr=False)
    """What its outputs say, as it is compared."""


def cells_of(executed: bytes) -> list[CellView]:
    """Return the cells of a notebook as it ran (`NotebookRun.executed`)."""
    whole = zlib.decompressobj().decompress(executed, _LARGEST_BYTES)
    cells = json.loads(whole)["cells"]
    left = _MOST_SHOWN
    views: list[CellView] = []
    for number, cell in enumerate(cells[:_MOST_CELLS], 1):
        view = _view(number, cell, left)
        left -= len(view.source) + len(view.prose) + sum(len(one.value) for one in view.outputs)
        views.append(view)
    if len(cells) > _MOST_CELLS:
        views.append(CellView("raw", _MOST_CELLS + 1, None, _TOO_MUCH))
    return views


def changed_cells(base: Sequence[CellView], head: Sequence[CellView]) -> list[CellView]:
    """Return the cells of two notebooks beside each other: what is at the head, and in between what has gone."""
    found: list[CellView] = []
    old, new = [cell.source for cell in base], [cell.source for cell in head]
    for kind, begin, end, at, until in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            found += [_compared(*pair) for pair in zip(base[begin:end], head[at:until], strict=True)]
            continue
        both = min(end - begin, until - at) if kind == "replace" else 0
        found += [_compared(*pair) for pair in zip(base[begin : begin + both], head[at : at + both], strict=True)]
        found += [_bare(cell, "removed") for cell in base[begin + both : end]]
        found += [replace(cell, change="added") for cell in head[at + both : until]]
    return found


def _bare(cell: CellView, change: Change) -> CellView:
    return replace(cell, change=change, outputs=(), prose="")


def _compared(old: CellView, new: CellView) -> CellView:
    lines = tuple(_diff(old.source, new.source, _MOST_COMPARED_LINES)) if old.source != new.source else ()
    said = tuple(_diff("\n".join(old.told), "\n".join(new.told), _AROUND)) if old.told != new.told else ()
    images = [[one.value for one in cell.outputs if one.kind == "image"] for cell in (old, new)]
    if old.kind == new.kind and not lines and not said and images[0] == images[1]:
        return replace(new, change="same")
    outputs = tuple(one for one in new.outputs if one.kind not in {"text", "error"}) if said else new.outputs
    return replace(new, change="changed", lines=lines, said=said, outputs=outputs)


def _diff(old: str, new: str, around: int) -> Iterator[str]:
    before, after = (text.split("\n")[:_MOST_COMPARED_LINES] for text in (old, new))
    for number, line in enumerate(unified_diff(before, after, n=around, lineterm="")):
        if number > 2:  # the first two name files, the third one says that it begins
            yield " …" if line.startswith("@@") else line


def _view(number: int, cell: Mapping[str, Any], left: int) -> CellView:
    source = _bounded(text_of(cell.get("source")), min(left, _LONGEST_TEXT))
    kind = str(cell.get("cell_type"))
    if kind == "markdown":
        return CellView(kind, number, None, source, prose=_prose(source))
    if kind != "code":
        return CellView("raw", number, None, source)
    outputs = cell.get("outputs") or []
    count = cell.get("execution_count")
    return CellView(
        kind,
        number,
        count if isinstance(count, int) else None,
        source,
        outputs=tuple(_outputs(outputs, left)),
        told=tuple(text[:_LONGEST_TEXT] for text in texts_of(outputs)),
    )


def _outputs(outputs: Sequence[Mapping[str, Any]], left: int) -> Iterator[OutputView]:
    for output in outputs:
        view = _output(output, max(0, left))
        left -= len(view.value)
        yield view


def _output(output: Mapping[str, Any], left: int) -> OutputView:
    match output.get("output_type"):
        case "stream":
            kind: Kind = "error" if output.get("name") == "stderr" else "text"
            return OutputView(kind, _bounded(plain(text_of(output.get("text"))), min(left, _LONGEST_TEXT)))
        case "error":
            lines = output.get("traceback")
            text = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
            text = text or f"{output.get('ename')}: {output.get('evalue')}"
            return OutputView("error", _bounded(plain(text), min(left, _LONGEST_TEXT)))
        case _:
            data = output.get("data")
            return _of_data(data if isinstance(data, dict) else {}, left)


def _of_data(data: Mapping[str, Any], left: int) -> OutputView:
    for kind, begins in _IMAGES.items():
        if kind in data:
            return _image(kind, begins, text_of(data[kind]), left)
    if html := text_of(data.get("text/html")) or text_of(data.get("image/svg+xml")):
        return OutputView("html", html) if len(html) <= min(left, _LONGEST_HTML) else OutputView("note", _TOO_MUCH)
    for kind in _TEXTS:
        if kind in data:
            text = json.dumps(data[kind], indent=1) if kind == "application/json" else text_of(data[kind])
            return OutputView("text", _bounded(plain(text), min(left, _LONGEST_TEXT)))
    return OutputView("note", _NOT_SHOWN)


def _image(kind: str, begins: bytes, text: str, left: int) -> OutputView:
    if len(text) > min(left, _LONGEST_IMAGE):
        return OutputView("note", _TOO_MUCH)
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data.startswith(begins):
        return OutputView("note", "A picture that is none.")
    return OutputView("image", f"data:{kind};base64,{base64.b64encode(data).decode()}")


def _bounded(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n… {_TOO_MUCH}"


def _prose(source: str) -> str:
    if len(source) > _LONGEST_MARKDOWN:
        return ""
    # Only who looks at a notebook needs it.
    from markdown_it import MarkdownIt  # noqa: PLC0415

    html: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(source)
    return Markup(html)  # noqa: S704 - it escapes what is a stranger's, and there are no scripts where it goes
