"""What a module is: the words of its `module.yml`. Docs of modules are drawn from these.

A folder `modules/<name>/<version>/` holds `module.yml`, `components/<component>.json`, and, where it has them,
`images/<image>/Containerfile` with its files, and `client/` with what is laid into the notebook's image.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["single-node", "multi-node"]
"""`single-node`: containers in the session's own pod; `multi-node`: pods of their own, behind Services."""

Kind = Literal["text", "integer", "size", "flag", "choice"]
Value = str | int | bool
"""What a parameter has: `size` is a number of bytes."""

OF_THE_NOTEBOOK = "notebook"
"""The image of a component that runs in the session's own image: it then has the notebook's very packages."""


@dataclass(frozen=True)
class Parameter:
    """What may be asked of a module. `least` and `most` bound an integer, a size in bytes, and the length of a text.

    A text must match `pattern` as a whole, where there is one; a choice is one of `choices`.
    """

    name: str
    kind: Kind
    default: Value
    summary: str
    least: int | None = None
    most: int | None = None
    pattern: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Image:
    """Where a component's image comes from: a folder with a Containerfile that we build on our base, or a reference.

    `suite` is the Debian release of that base; None: the operator's.
    """

    name: str
    folder: str | None = None
    reference: str | None = None
    suite: str | None = None


@dataclass(frozen=True)
class Component:
    """A container of a module. `template` is its `components/*.json`, parsed and not filled yet."""

    name: str
    image: str
    template: Mapping[str, Any]


@dataclass(frozen=True)
class Client:
    """What a notebook needs to use a module: packages, variables (templates), and files: path in the image → content.

    The paths of `files` are relative to the home of the image's user.
    """

    python: tuple[str, ...] = ()
    debian: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    helpers: Mapping[str, bytes] = field(default_factory=dict)
    """Python files of the package `binder_modules`, by name: `postgres.py` is `from binder_modules import postgres`."""


@dataclass(frozen=True)
class Page:
    """A page that a component has, for people; `path` begins with a slash."""

    title: str
    component: str
    port: str
    path: str = "/"


@dataclass(frozen=True)
class Module:
    """One version of a module, as its folder defines it. `digest` stands for all of its files.

    `replicas` maps each mode to its components, and how many there are of each: a number, or a parameter's name.
    `seeds` map a suffix of a file (`.sql`; `*` for any executable script) to the command, a template, that takes it in.
    `memory` names how much a component may use at most: bytes, or a parameter's name.
    """

    name: str
    version: str
    title: str
    summary: str
    digest: str
    origin: str
    """Where it comes from, in words for people: `Binder`, an operator's address, or the repository."""
    parameters: Mapping[str, Parameter]
    secrets: tuple[str, ...]
    images: Mapping[str, Image]
    components: Mapping[str, Component]
    replicas: Mapping[Mode, Mapping[str, int | str]]
    client: Client
    pages: tuple[Page, ...] = ()
    seeds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    memory: Mapping[str, int | str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """All files of the folder: path → content."""
    folder: str = ""
    """What stands before each path where a fault names it."""
