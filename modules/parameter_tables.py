"""Reads what a module says of its parameters: the table `parameters` of its `module.yml`."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from binder.plain_yaml import Node, Text
from modules.component_templates import reserved_names
from modules.definition import Kind, Parameter
from modules.parameters import LONGEST_TEXT, ParameterError, size_of, value_of
from modules.patterns import LONGEST, PatternError, check_pattern
from modules.tables import PLACE, File

_INTEGER = re.compile(r"\A-?[0-9]{1,15}\Z", re.ASCII)
_OF_ALL = ("kind", "default", "summary")
_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "text": ("least", "most", "pattern"),
    "integer": ("least", "most"),
    "size": ("least", "most"),
    "flag": (),
    "choice": ("choices",),
}
_KNOWN = tuple(dict.fromkeys([*_OF_ALL, *(key for keys in _OF_KIND.values() for key in keys)]))


def read_parameters(file: File, node: Node, near: Node) -> dict[str, Parameter]:
    """Return the parameters of a module.

    Raises: RepositoryFault, with the line.
    """
    found: dict[str, Parameter] = {}
    for name, said in file.named("`parameters`", node, PLACE, 40, near=near).items():
        if name in reserved_names():
            raise file.fault(f"`{name}` is a name that {file.path} cannot give: it is given here.", name)
        found[str(name)] = _parameter(file, name, said)
    return found


def _parameter(file: File, name: Text, node: Node) -> Parameter:
    said = {str(key): value for key, value in file.table(f"`{name}`", node, _KNOWN, near=name).items()}
    kind = said.get("kind")
    if not isinstance(kind, Text) or kind not in _OF_KIND:
        raise file.fault(f"The `kind` of `{name}` in {file.path} must be one of {', '.join(_OF_KIND)}.", kind, name)
    if others := [key for key in said if key not in {*_OF_ALL, *_OF_KIND[kind]}]:
        raise file.fault(f"`{name}` in {file.path} is of the kind {kind}, which has no `{others[0]}`.", name)
    bounds = {key: _bound(file, name, kind, said[key]) if key in said else None for key in ("least", "most")}
    least, most = bounds["least"], bounds["most"]
    if least is not None and ((most is not None and least > most) or (kind == "text" and least < 0)):
        raise file.fault(f"`{name}` in {file.path} has bounds between which there is nothing.", name)
    bare = Parameter(
        name=str(name),
        kind=cast(Kind, str(kind)),
        default="",
        summary=str(file.text(f"The `summary` of `{name}`", said.get("summary"), 400, near=name)),
        least=least,
        most=most,
        pattern=_pattern(file, name, said["pattern"]) if "pattern" in said else None,
        choices=_choices(file, name, said.get("choices")) if kind == "choice" else (),
    )
    default = said.get("default")
    if not isinstance(default, Text):
        raise file.fault(f"`{name}` in {file.path} must have a `default`, which is one text or number.", default, name)
    try:
        return replace(bare, default=value_of(bare, default))
    except ParameterError as error:
        raise file.fault(f"The default of {error}", default, name) from error


def _bound(file: File, name: Text, kind: str, node: Node) -> int:
    number = None
    if isinstance(node, Text):
        number = size_of(node) if kind == "size" else int(node) if _INTEGER.match(node) else None
    if number is None or (kind == "text" and number > LONGEST_TEXT):
        must = {"size": "a size such as `512 MiB`", "text": f"a whole number, {LONGEST_TEXT} at most"}
        what = must.get(kind, "a whole number")
        raise file.fault(f"A bound of `{name}` in {file.path} must be {what}.", node, name)
    return number


def _pattern(file: File, name: Text, node: Node) -> str:
    pattern = file.text(f"The `pattern` of `{name}`", node, LONGEST, near=name)
    try:
        check_pattern(pattern)
    except PatternError as error:
        raise file.fault(f"The `pattern` of `{name}` in {file.path}: {error}", node) from error
    return str(pattern)


def _choices(file: File, name: Text, node: "Node | None") -> tuple[str, ...]:
    items = file.items(f"The `choices` of `{name}`", name if node is None else node, 50, near=name)
    texts = [file.text(f"A choice of `{name}`", item, 100, near=name) for item in items]
    if not texts or len(set(texts)) < len(texts):
        raise file.fault(f"The `choices` of `{name}` in {file.path} must be there, each once.", name)
    return tuple(map(str, texts))
