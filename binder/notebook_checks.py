"""What a binder.yml says of notebooks that have to run before a commit is green; pure.

check:
  notebooks: ["*.ipynb", tutorials/]   # patterns, as those of `previews`
  timeout: 10 min                      # for each notebook: `90 s`, `10 min` or `1 h`
  outputs: compare                     # with those that are committed; default: ignore
  tolerance: 1e-6                      # by which numbers in outputs may differ, as a share of them

Whoever builds finds out which notebooks that are (`chosen_notebooks`); whoever starts sessions has them run.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from binder.errors import RepositoryFault
from binder.plain_yaml import Node, Text, line_of
from binder.preview_policy import is_matched

KEY = "check"
MOST_NOTEBOOKS = 50
"""How many notebooks one commit may have run."""

Outputs: TypeAlias = Literal["compare", "ignore"]

_SUFFIX = ".ipynb"
_MOST_PATTERNS = 50
_LONGEST_PATTERN = 200
_LONGEST_SECONDS = 24 * 3600.0
_TIME = re.compile(r"\A([0-9]{1,5}) ?(s|min|h)\Z")
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_TOLERANCE = re.compile(r"\A[0-9]{1,3}(\.[0-9]{1,20})?([eE]-?[0-9]{1,2})?\Z")


@dataclass(frozen=True)
class CheckSettings:
    """How notebooks are run. `tolerance` is the share by which numbers may differ from those that are committed."""

    timeout_seconds: float = 600.0
    outputs: Outputs = "ignore"
    tolerance: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {"timeout_seconds": self.timeout_seconds, "outputs": self.outputs, "tolerance": self.tolerance}


@dataclass(frozen=True)
class AskedCheck:
    """What a binder.yml asks for: patterns, each of which knows its line, and how what they match is run."""

    file: str
    notebooks: Sequence[Text] = field(hash=False)
    settings: CheckSettings = CheckSettings()


@dataclass(frozen=True)
class NotebookCheck:
    """The notebooks of a commit that have to run, in this order, and how."""

    notebooks: tuple[str, ...]
    settings: CheckSettings = CheckSettings()


def read_check(path: str, key: Text, value: Node) -> AskedCheck:
    """Read the table `check` of a binder.yml.

    Raises: RepositoryFault, with the line.
    """
    known = "It may say `notebooks`, `timeout`, `outputs` and `tolerance`."
    if not isinstance(value, dict):
        raise _fault(path, value, key, f"`{KEY}` in {path} must be a table. {known}")
    patterns: Sequence[Text] = ()
    found: dict[str, Any] = {}
    for name, inner in value.items():
        if name == "notebooks":
            patterns = _patterns(path, name, inner)
        elif name in _READERS:
            word, read, allowed = _READERS[name]
            found[word] = read(inner) if isinstance(inner, Text) else None
            if found[word] is None:
                raise _fault(path, inner, name, f"`{name}` in {path} must be {allowed}.")
        else:
            raise _fault(path, name, key, f"`{KEY}` in {path} does not know `{name[:60]}`. {known}")
    if not patterns:
        raise _fault(path, key, key, f"`{KEY}` in {path} must say which `notebooks` have to run.")
    settings = CheckSettings(**found)
    if settings.tolerance and settings.outputs != "compare":
        line = next(name for name in value if name == "tolerance")
        raise _fault(path, line, key, f"`tolerance` in {path} is for `outputs: compare`: write both, or none of them.")
    return AskedCheck(path, patterns, settings)


def chosen_notebooks(asked: AskedCheck, files: Iterable[str]) -> NotebookCheck:
    """Return the notebooks that the patterns match: in the order of these, and of their paths.

    Raises: RepositoryFault, with the line of a pattern that matches none, or one too many.
    """
    notebooks = sorted(path for path in files if path.endswith(_SUFFIX) and ".ipynb_checkpoints/" not in path)
    chosen: dict[str, None] = {}
    for pattern in asked.notebooks:
        matched = [path for path in notebooks if is_matched(path, pattern)]
        if not matched:
            message = f"{asked.file} names `{pattern[:60]}`, which no notebook of the repository matches."
            raise RepositoryFault(message, file=asked.file, line=pattern.line)
        chosen |= dict.fromkeys(matched)
        if len(chosen) > MOST_NOTEBOOKS:
            message = f"`{KEY}` in {asked.file} names more than {MOST_NOTEBOOKS} notebooks."
            raise RepositoryFault(message, file=asked.file, line=pattern.line)
    return NotebookCheck(tuple(chosen), asked.settings)


def settings_from(kept: Mapping[str, Any]) -> CheckSettings:
    """Return the settings that `CheckSettings.as_json` kept."""
    return CheckSettings(**kept)


def _patterns(path: str, key: Text, value: Node) -> Sequence[Text]:
    listed = value if isinstance(value, list) else [value]
    texts = [one for one in listed if isinstance(one, Text) and _is_pattern(one)]
    if not 0 < len(listed) <= _MOST_PATTERNS or len(texts) < len(listed):
        wrong = next((one for one in listed if not isinstance(one, Text) or not _is_pattern(one)), value)
        allowed = (
            f"`{key}` in {path} must be a list of 1 to {_MOST_PATTERNS} patterns such as `*.ipynb` or `tutorials/`, of "
            f"at most {_LONGEST_PATTERN} characters."
        )
        raise _fault(path, wrong, key, allowed)
    return texts


def _is_pattern(text: Text) -> bool:
    return 0 < len(text) <= _LONGEST_PATTERN and not text.startswith("!")


def _seconds(text: str) -> float | None:
    found = _TIME.match(text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0.0
    return seconds if 1 <= seconds <= _LONGEST_SECONDS else None


def _outputs(text: str) -> Outputs | None:
    return "compare" if text == "compare" else "ignore" if text == "ignore" else None


def _tolerance(text: str) -> float | None:
    value = float(text) if _TOLERANCE.match(text) else -1.0
    return value if 0 <= value <= 1 else None


_READERS: Mapping[str, tuple[str, Callable[[str], float | str | None], str]] = {
    "timeout": ("timeout_seconds", _seconds, "a time such as `90 s`, `10 min` or `1 h`, up to a day"),
    "outputs": ("outputs", _outputs, "`compare` or `ignore`"),
    "tolerance": ("tolerance", _tolerance, "a share from 0 to 1, such as `0.01` or `1e-6`"),
}


def _fault(path: str, node: Node, key: Text, message: str) -> RepositoryFault:
    return RepositoryFault(message, file=path, line=line_of(node) or key.line)
