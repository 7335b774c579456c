"""What a Conda environment.yml asks for: a pure reading of the file, and the words for what any such file asks for.

Source: https://docs.conda.io/projects/conda/en/latest/user-guide/tasks/manage-environments.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from binder.errors import RepositoryFault
from binder.plain_yaml import Node, Text, is_nothing, line_of, read_yaml, text_at

SUBDIR = "linux-64"
"""The platform of all that is built here, in Conda's words; `noarch` is for all platforms."""

IMPLIED_CHANNEL = "conda-forge"

_SPEC = re.compile(r"(?:([^\s\[\]]+)::)?\s*([A-Za-z0-9_.][A-Za-z0-9_.-]*)\s*(?:[\s=<>!~*\[,#].*)?")
_CHANNEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SELECTED = re.compile(r"sel\((\w+)\)")
_OURS = frozenset({"linux", "unix", "linux64"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_SPEC = 400
_ABSENT = text_at("", 1)


@dataclass(frozen=True)
class CondaPackage:
    """One package, named exactly. `sha256` is of the archive; `size` is its bytes, None where a lock does not say."""

    url: str
    sha256: str
    name: str
    version: str
    build: str
    subdir: str
    size: int | None = None


@dataclass(frozen=True)
class CondaRequest:
    """What is asked of Conda channels.

    `channels` and `specs` are as written; `pip` holds requirement lines for PyPI, and `pip_lines` where each stands.
    `lines` maps a package's name to the line that asks for it. `locked` is what a lock names; nothing is solved then.
    `priority` tells whether a package may come from a later channel where the first that has it has no fitting version.
    """

    path: str
    channels: tuple[str, ...]
    specs: tuple[str, ...]
    pip: tuple[str, ...]
    lines: Mapping[str, int]
    locked: tuple[CondaPackage, ...] | None = None
    pip_lines: tuple[int, ...] = ()
    priority: Literal["flexible", "strict"] = "flexible"
    variables: tuple[tuple[str, str], ...] = ()


def fault_in(path: str, line: int | None, what: str) -> RepositoryFault:
    """Return the fault of a file; `what` goes on after its place and ends without a full stop."""
    place = f"{path} line {line}" if line else path
    return RepositoryFault(f"{place} {what}.", file=path, line=line)


def environment_request(path: str, text: str) -> CondaRequest:
    """Return what an environment.yml asks for; `name` and `prefix` are ours to choose.

    Raises: RepositoryFault, with the line.
    """
    tree = read_yaml(path, text)
    if is_nothing(tree):
        tree = {}
    if not isinstance(tree, dict):
        raise fault_in(path, line_of(tree), "is not a list of settings such as `dependencies:`")
    specs: list[Text] = []
    pip: list[Text] = []
    for item in _items(path, tree, "dependencies"):
        if isinstance(item, dict):
            _take_group(path, item, specs, pip)
        else:
            specs.append(_text(path, item))
    lines: dict[str, int] = {}
    for spec in specs:
        lines.setdefault(name_of_spec(path, spec), spec.line)
    return CondaRequest(
        path=path,
        channels=_channels(path, tree),
        specs=tuple(str(spec).strip() for spec in specs),
        pip=tuple(str(line) for line in pip),
        lines=lines,
        pip_lines=tuple(line.line for line in pip),
        variables=_variables(path, tree),
    )


def name_of_spec(path: str, spec: Text) -> str:
    """Return the name of the package that a spec asks for.

    Raises: RepositoryFault, where it is none, or names something outside of the channels.
    """
    text = spec.strip()
    if not text.isprintable() or len(text) > _LONGEST_SPEC:
        raise fault_in(path, spec.line, "is not the name of a Conda package with a version")
    if address := _ADDRESS.match(text):
        if address[1].lower() not in ("http", "https"):
            raise fault_in(path, spec.line, f"asks for a package at {address[0]}…, which a build cannot reach")
        if "::" not in text:
            return text.partition("#")[0].rpartition("/")[2].rsplit("-", 2)[0].lower()
    if not (match := _SPEC.fullmatch(text)):
        raise fault_in(path, spec.line, f"is not a Conda package with a version: {text[:80]!r}")
    if match[1]:
        check_channel(path, text_at(match[1], spec.line))
    return match[2].lower()


def channel_and_rest(spec: str) -> tuple[str | None, str]:
    """Return the channel before a package's name, where there is one, and the rest of a spec."""
    match = _SPEC.fullmatch(spec)
    return (match[1], spec[match.start(2) :]) if match and match[1] else (None, spec)


def check_channel(path: str, channel: Text) -> None:
    """Refuse a channel that is neither a word nor an address on the network.

    Raises: RepositoryFault.
    """
    if address := _ADDRESS.match(channel):
        if address[1].lower() in ("http", "https") and channel.isprintable() and len(channel) <= _LONGEST_SPEC:
            return
    elif _CHANNEL.fullmatch(channel):
        return
    raise fault_in(path, channel.line, f"names a channel that cannot be reached from here: {channel[:80]!r}")


def _channels(path: str, tree: Mapping[Text, Node]) -> tuple[str, ...]:
    """Return the channels in order; conda-forge comes after what is named, as it does in repo2docker's environments."""
    items = [_text(path, item) for item in _items(path, tree, "channels")]
    for item in items:
        check_channel(path, item)
    named = [str(item) for item in items]
    implied = () if IMPLIED_CHANNEL in named or "nodefaults" in named else (IMPLIED_CHANNEL,)
    return (*dict.fromkeys(named), *implied)


def _variables(path: str, tree: Mapping[Text, Node]) -> tuple[tuple[str, str], ...]:
    node = tree.get(Text("variables"), _ABSENT)
    if is_nothing(node):
        return ()
    if not isinstance(node, dict):
        raise fault_in(path, line_of(node), "`variables` must be a mapping of names to values")
    for name, value in node.items():
        if not _VARIABLE.fullmatch(name) or not isinstance(value, Text):
            raise fault_in(path, name.line, "is not a variable with a value")
        if not value.isprintable():  # it stands in a line of a file of ours
            raise fault_in(path, name.line, "has a line end, a tab or the like in the value of a variable")
    return tuple((str(name), str(value)) for name, value in node.items())


def _items(path: str, tree: Mapping[Text, Node], key: str) -> list[Node]:
    node = tree.get(Text(key), _ABSENT)
    if is_nothing(node):
        return []
    if isinstance(node, dict):
        raise fault_in(path, line_of(node), f"`{key}` must be a list")
    return [node] if isinstance(node, Text) else node


def _text(path: str, node: Node) -> Text:
    if not isinstance(node, Text) or is_nothing(node) or not node.strip():
        raise fault_in(path, line_of(node), "must be one text, such as `- numpy=1.26`")
    return node


def _take_group(path: str, group: Mapping[Text, Node], specs: list[Text], pip: list[Text]) -> None:
    """Add what a mapping among the dependencies asks for: `pip:`, or micromamba's `sel(linux):`."""
    for key, value in group.items():
        if key == "pip":
            pip += [_text(path, line) for line in _items(path, group, "pip")]
        elif selected := _SELECTED.fullmatch(key):
            if selected[1] in _OURS:
                specs.append(_text(path, value))
        else:
            raise fault_in(
                path, key.line, f"has {key[:60]!r} among the dependencies, where only names and `pip:` can be"
            )
