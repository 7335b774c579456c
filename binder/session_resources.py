"""What a session may use, as binder.yml asks for it, and what the operator allows; pure.

resources:
  memory: 4 GiB   # or as 512 MiB
  cpus: 2
  gpu: 1

Whoever builds refuses what is beyond the operator's bounds, with the line; whoever starts a session keeps to them too.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from binder.errors import RepositoryFault
from binder.plain_yaml import Node, Text, line_of

KEY = "resources"

_MEMORY = re.compile(r"\A([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([MG])i?B?\Z")
_UNITS = {"M": 2**20, "G": 2**30}
_LEAST_MEMORY = 256 * 2**20
_CPUS = re.compile(r"\A[0-9]{1,4}(\.[0-9]{1,2})?\Z")
_GPUS = re.compile(r"\A[0-9]{1,2}\Z")
_WORDS = {"memory_bytes": "memory", "cpus": "cpus", "gpus": "gpu"}


@dataclass(frozen=True)
class Resources:
    """What a session may use. None: as much as every session."""

    memory_bytes: int | None = None
    cpus: float | None = None
    gpus: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what is kept of it with a build."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def within(self, usual: "Resources", most: "Resources") -> "Resources":
        """Return what a session is given that asks for this."""
        found: dict[str, Any] = {}
        for name in _WORDS:
            asked = getattr(self, name)
            found[name] = min(getattr(usual, name) if asked is None else asked, getattr(most, name))
        return Resources(**found)


@dataclass(frozen=True)
class AskedResources(Resources):
    """What a binder.yml asks for, and the line of each."""

    file: str = field(default="", kw_only=True)
    lines: Mapping[str, int | None] = field(default_factory=dict, kw_only=True, hash=False)

    @property
    def resources(self) -> Resources:
        """What it asks for, wherever it stands."""
        return Resources(self.memory_bytes, self.cpus, self.gpus)


def read_resources(path: str, key: Text, value: Node) -> AskedResources:
    """Read the table `resources` of a binder.yml.

    Raises: RepositoryFault, with the line.
    """
    known = "It may say `memory`, `cpus` and `gpu`."
    if not isinstance(value, dict):
        raise _fault(path, value, key, f"`{KEY}` in {path} must be a table. {known}")
    found: dict[str, Any] = {}
    lines: dict[str, int | None] = {}
    for name, inner in value.items():
        if name not in _READERS:
            raise _fault(path, name, key, f"`{KEY}` in {path} does not know `{name[:60]}`. {known}")
        word, read, allowed = _READERS[name]
        number = read(inner) if isinstance(inner, Text) else None
        if number is None:
            raise _fault(path, inner, name, f"`{name}` in {path} must be {allowed}.")
        found[word], lines[word] = number, line_of(inner)
    return AskedResources(**found, file=path, lines=lines)


def check_resources(asked: AskedResources, most: Resources) -> None:
    """See that what a binder.yml asks for is within the operator's bounds.

    Raises: RepositoryFault, with the line.
    """
    for name, word in _WORDS.items():
        wanted, bound = getattr(asked, name), getattr(most, name)
        if wanted is not None and wanted > bound:
            there = f"a session may have {_said(name, bound)} here" if bound else "there are none here"
            message = f"`{word}` in {asked.file} asks for {_said(name, wanted)}, and {there}."
            raise RepositoryFault(message, file=asked.file, line=asked.lines.get(name))


def _said(name: str, value: float) -> str:
    if name == "memory_bytes":
        return f"{value / 2**30:g} GiB" if value >= 2**30 else f"{value / 2**20:g} MiB"
    thing = "processor" if name == "cpus" else "GPU"
    return f"{value:g} {thing}" if value == 1 else f"{value:g} {thing}s"


def _memory(text: str) -> int | None:
    found = _MEMORY.match(text)
    value = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    return value if value >= _LEAST_MEMORY else None


def _cpus(text: str) -> float | None:
    value = float(text) if _CPUS.match(text) else 0.0
    return value or None


def _gpus(text: str) -> int | None:
    return int(text) if _GPUS.match(text) else None


_READERS: Mapping[str, tuple[str, Callable[[str], float | None], str]] = {
    "memory": ("memory_bytes", _memory, "an amount such as `4 GiB` or `512 MiB`, and 256 MiB at least"),
    "cpus": ("cpus", _cpus, "a number of processors such as `2` or `0.5`"),
    "gpu": ("gpus", _gpus, "a whole number of GPUs"),
}


def _fault(path: str, node: Node, key: Text, message: str) -> RepositoryFault:
    return RepositoryFault(message, file=path, line=line_of(node) or key.line)
