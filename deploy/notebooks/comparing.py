"""Whether the outputs of a cell are the committed ones, as a person would say. Pure.

What is compared is what is read: what the cell printed, the texts of its results, and the names of errors that it is
meant to raise. Numbers may differ by a tolerance. Left out is what differs from run to run though nothing changed:
images and HTML (a result has a text as well), warnings (`stderr`), addresses in memory, spaces between words.

nbdime is not used for this: it has no tolerance for numbers, what it says of changes is made to be drawn by its own
scripts, and it brings 67 packages along, Jupyter's server among them.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.notebooks.notebook import plain, text_of

_TEXTS = ("text/plain", "text/markdown", "text/latex")
_JSON = "application/json"
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w])")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_LONGEST_QUOTE = 80
_NOTHING = "nothing"


def difference(
    committed: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], tolerance: float
) -> str | None:
    """Return, in a sentence, where outputs differ from the committed ones; None where they do not."""
    before, after = texts_of(committed), texts_of(now)
    for number in range(max(len(before), len(after))):
        old = before[number] if number < len(before) else ""
        new = after[number] if number < len(after) else ""
        if not is_alike(old, new, tolerance):
            return f"The output is not the committed one: {_first_difference(old, new, tolerance)}"
    return None


def texts_of(outputs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what outputs say: what was printed, though it was printed in pieces, and then each result."""
    printed: list[str] = []
    results: list[str] = []
    for output in outputs:
        match output.get("output_type"):
            case "stream" if output.get("name") != "stderr":
                printed.append(text_of(output.get("text")))
            case "execute_result" | "display_data":
                results.append(_text_of_data(output.get("data")))
            case "error":
                results.append(f"{output.get('ename')}: {output.get('evalue')}")
            case _:
                pass
    return [text for text in (_clean("".join(printed)), *map(_clean, results)) if text]


def is_alike(old: str, new: str, tolerance: float) -> bool:
    """Whether two texts are the same but for spaces, and for numbers that differ by no more than `tolerance`."""
    if old == new:
        return True
    if _between(old) != _between(new):
        return False
    pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=False)
    return all(before == after or _is_near(float(before), float(after), tolerance) for before, after in pairs)


def _is_near(old: float, new: float, tolerance: float) -> bool:
    return math.isclose(old, new, rel_tol=tolerance, abs_tol=tolerance)


def _between(text: str) -> list[str]:
    """Return what stands between numbers; how far they stand apart depends on how long they are."""
    return ["".join(part.split()) for part in _NUMBER.split(text)]


def _text_of_data(data: object) -> str:
    if not isinstance(data, dict):
        return ""
    for kind in _TEXTS:
        if kind in data:
            return text_of(data[kind])
    return json.dumps(data[_JSON], sort_keys=True) if _JSON in data else ""


def _clean(text: str) -> str:
    lines = (line.rstrip() for line in _ADDRESS.sub("", plain(text)).split("\n"))
    return "\n".join(lines).strip("\n")


def _first_difference(old: str, new: str, tolerance: float) -> str:
    """Return the first line that differs, as it was and is."""
    before, after = old.split("\n"), new.split("\n")
    for number in range(max(len(before), len(after))):
        was = before[number] if number < len(before) else ""
        now = after[number] if number < len(after) else ""
        if not is_alike(was, now, tolerance):
            return f"{_quoted(was)} became {_quoted(now)}."
    return f"{_quoted(old)} became {_quoted(new)}."


def _quoted(text: str) -> str:
    words = " ".join(text.split())
    if not words:
        return _NOTHING
    return f"`{words if len(words) <= _LONGEST_QUOTE else words[: _LONGEST_QUOTE - 1] + '…'}`"
