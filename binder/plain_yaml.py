"""Reads YAML that a stranger wrote: nothing is constructed from it but text, lists and mappings.

Aliases, tags, keys that come twice, more than one document and deep nesting are refused. Every text knows its line.
What the texts mean is left to the readers of each file.
"""

from collections.abc import Iterator
from typing import TypeAlias

import yaml

from binder.errors import RepositoryFault

_DEEPEST = 16
_OWN_TAGS = "tag:yaml.org,2002:"
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


class Text(str):
    """A scalar as it was written, or a key; `line` counts from 1, and `plain` tells that it was not quoted."""

    __slots__ = ("line", "plain")

    line: int
    plain: bool


Node: TypeAlias = "Text | list[Node] | dict[Text, Node]"


def text_at(value: str, line: int, *, plain: bool = True) -> Text:
    """Return a text that stands on a line."""
    text = Text(value)
    text.line, text.plain = line, plain
    return text


def is_nothing(node: Node) -> bool:
    """Whether a value was left out, or is YAML's null."""
    return isinstance(node, Text) and node.plain and node in _NOTHING


def line_of(node: Node) -> int | None:
    """Return the line on which a node begins; None for an empty list or mapping."""
    while not isinstance(node, Text):
        if not node:
            return None
        node = next(iter(node))
    return node.line


def read_yaml(path: str, text: str, *, most_characters: int = 2**20) -> Node:
    """Return the one document of a file; an empty file is YAML's null.

    Raises: RepositoryFault, with the line.
    """
    if len(text) > most_characters:
        raise RepositoryFault(
            f"{path} is larger than {most_characters // 2**20} MiB, which no such file is.", file=path
        )
    try:
        return _Reader(path, yaml.parse(text, Loader=yaml.CSafeLoader)).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        raise _fault(path, mark.line + 1 if mark else None, f"is not valid YAML: {said}") from error


def _fault(path: str, line: int | None, what: str) -> RepositoryFault:
    place = f"{path} line {line}" if line else path
    return RepositoryFault(f"{place} {what}.", file=path, line=line)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


class _Reader:
    """Builds the tree from the parser's events, so that what is refused is refused before it is read further."""

    def __init__(self, path: str, events: Iterator[yaml.Event]) -> None:
        self._path = path
        self._events = events

    def document(self) -> Node:
        next(self._events)  # the stream's beginning
        first = next(self._events)
        if isinstance(first, yaml.StreamEndEvent):
            return text_at("", 1)
        node = self._node(next(self._events), 0)
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._refused(after, "begins a second document. Keep one")
        return node

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            raise self._refused(event, "uses a YAML alias (*name), which is not read here. Write the value out")
        if (tag := getattr(event, "tag", None)) and not tag.startswith(_OWN_TAGS):
            raise self._refused(event, "uses a YAML tag of its own (!name), which is not read here")
        if depth > _DEEPEST:
            raise self._refused(event, "is nested too deeply")
        if isinstance(event, yaml.ScalarEvent):
            return text_at(event.value, _line(event), plain=not event.style)
        return self._list(depth) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(depth)

    def _list(self, depth: int) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _mapping(self, depth: int) -> dict[Text, Node]:
        items: dict[Text, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if not isinstance(key, Text):
                raise self._refused(event, "has a key that is not a text")
            if key in items:
                raise self._refused(event, f"has the key {key[:60]!r} a second time")
            items[key] = self._node(next(self._events), depth + 1)
        return items

    def _refused(self, event: yaml.Event, what: str) -> RepositoryFault:
        return _fault(self._path, _line(event), what)
