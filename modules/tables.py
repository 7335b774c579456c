"""Strict reading of the tables of a module's files: every key is known, every value has its form, every fault its line.

Owns the forms that several files have in common; what they mean is `modules.reading`'s.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from binder.errors import RepositoryFault
from binder.plain_yaml import Node, Text, is_nothing, line_of
from modules.filling import TemplateError, check_places, names_in
from templates import Json

_T = TypeVar("_T")

NAME = re.compile(r"\A[a-z](?:[a-z0-9-]{0,18}[a-z0-9])?\Z")
"""Of a module, and of an image: a DNS label, short enough for several of them to be one."""

COMPONENT = re.compile(r"\A[a-z][a-z0-9]{0,19}\Z")
"""Of a component: `{{ hosts.server }}` holds it, so it has no hyphen."""

PLACE = re.compile(r"\A[a-z][a-z0-9_]{0,39}\Z")
"""Of a parameter or secret."""

PORT = re.compile(r"\A[a-z](?:[a-z0-9-]{0,13}[a-z0-9])?\Z")
VARIABLE = re.compile(r"\A[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
_LONGEST_TEMPLATE = 4000


@dataclass(frozen=True)
class File:
    """A file that is read; `path` is said in faults."""

    path: str

    def fault(self, message: str, *nodes: "Node | None") -> RepositoryFault:
        """Return the fault of the first of these nodes that has a line."""
        lines = (line for node in nodes if node is not None and (line := line_of(node)))
        return RepositoryFault(message, file=self.path, line=next(lines, None))

    def table(
        self, what: str, node: Node, known: Collection[str] | None = None, *, near: "Node | None" = None
    ) -> Mapping[Text, Node]:
        """Return a table, all of whose keys are `known`; nothing at all is an empty one.

        Raises: RepositoryFault.
        """
        if is_nothing(node):
            return {}
        if not isinstance(node, dict):
            raise self.fault(f"{what} in {self.path} must be a table.", node, near)
        for key in node:
            if known is not None and key not in known:
                may = ", ".join(f"`{word}`" for word in known)
                raise self.fault(f"{what} in {self.path} does not know `{key[:60]}`. It may say {may}.", key)
        return node

    def named(self, what: str, node: Node, pattern: re.Pattern[str], most: int, *, near: Node) -> Mapping[Text, Node]:
        """Return a table whose keys are names of one form, `most` of them at most.

        Raises: RepositoryFault.
        """
        found = self.table(what, node, near=near)
        for key in found:
            if not pattern.match(key):
                raise self.fault(
                    f"{what} in {self.path} has the name `{key[:60]}`, which is no {words_of(pattern)}.", key
                )
        if len(found) > most:
            raise self.fault(f"{what} in {self.path} are more than {most}.", node, near)
        return found

    def items(self, what: str, node: Node, most: int, *, near: Node) -> list[Node]:
        """Return a list of `most` items at most; nothing at all is an empty one.

        Raises: RepositoryFault.
        """
        if is_nothing(node):
            return []
        if not isinstance(node, list) or len(node) > most:
            raise self.fault(f"{what} in {self.path} must be a list of at most {most}.", node, near)
        return node

    def text(self, what: str, node: "Node | None", most: int, *, near: "Node | None") -> Text:
        """Return a text that can be printed, of 1 to `most` characters.

        Raises: RepositoryFault.
        """
        if not isinstance(node, Text) or is_nothing(node) or not 0 < len(node) <= most or not node.isprintable():
            raise self.fault(f"{what} in {self.path} must be a text of 1 to {most} characters.", node, near)
        return node

    def made(self, make: Callable[[], _T], node: Node, *, near: "Node | None" = None) -> _T:
        """Return what `make` makes; what it raises becomes a fault at this node.

        Raises: RepositoryFault.
        """
        try:
            return make()
        except ValueError as error:
            raise self.fault(f"{error} ({self.path})", node, near) from error

    def template(self, what: str, template: Json, names: Collection[str], *nodes: Node) -> None:
        """See that a template asks only for values that it will be given.

        Raises: RepositoryFault.
        """
        try:
            check_places(template)
        except TemplateError as error:
            raise self.fault(f"{what} in {self.path}: {error}", *nodes) from error
        for name in sorted(names_in(template) - set(names)):
            known = ", ".join(f"`{one}`" for one in sorted(names)) or "nothing"
            raise self.fault(f"{what} in {self.path} asks for `{name}`; here there are {known}.", *nodes)


def text_of(file: File, content: bytes) -> str:
    """Return the text of a file.

    Raises: RepositoryFault.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RepositoryFault(f"{file.path} is not UTF-8.", file=file.path, line=line) from error


def words_of(pattern: re.Pattern[str]) -> str:
    """Return in words what a name has to be."""
    return {
        NAME: "name: small letters, digits and hyphens, 20 at most, a letter first",
        COMPONENT: "name of a component: small letters and digits, 20 at most, a letter first",
        PLACE: "name: small letters, digits and underscores, 40 at most, a letter first",
        PORT: "name of a port: small letters, digits and hyphens, 15 at most, a letter first",
        VARIABLE: "name of a variable: letters, digits and underscores, 100 at most, no digit first",
    }.get(pattern, f"`{pattern.pattern}`")


def is_short_template(text: str) -> bool:
    """Whether a text is one that a template may be: of one or several lines, without other control characters."""
    return len(text) <= _LONGEST_TEMPLATE and all(part.isprintable() for part in re.split(r"[\n\t]", text))
