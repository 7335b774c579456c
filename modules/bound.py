"""A module with what a repository asked of it: what a build keeps, and all that a session needs to know of it.

It stands for itself: a session that is started years later needs no catalogue, nor the repository.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from modules.definition import Mode, Page, Value


@dataclass(frozen=True)
class BoundComponent:
    """A component, and how many there are of it. `image` is a reference; None: the session's own image.

    `memory_bytes` is what each may use at most.
    """

    name: str
    image: str | None
    template: Mapping[str, Any]
    replicas: int
    memory_bytes: int


@dataclass(frozen=True)
class BoundSeed:
    """What is done once, in the session's own image and the repository's folder, before a notebook opens.

    `command` is a template, `file` the path in the repository.
    """

    command: tuple[str, ...]
    file: str


@dataclass(frozen=True)
class Bound:
    """A module as it is asked for."""

    name: str
    version: str
    title: str
    mode: Mode
    values: Mapping[str, Value]
    secrets: tuple[str, ...]
    components: tuple[BoundComponent, ...]
    environment: Mapping[str, str]
    pages: tuple[Page, ...] = ()
    seed: BoundSeed | None = None

    @property
    def memory_bytes(self) -> int:
        """What all of its components may use together."""
        return sum(one.memory_bytes * one.replicas for one in self.components)


_BOUND = TypeAdapter(tuple[Bound, ...])


def as_json(modules: Sequence[Bound]) -> list[dict[str, Any]]:
    """Return what a build's row keeps."""
    return [asdict(module) for module in modules]


def from_json(kept: object) -> tuple[Bound, ...]:
    """Return what a build's row kept; nothing, where it is of before there were modules."""
    return _BOUND.validate_python(kept or ())


def images_of(kept: object) -> frozenset[str]:
    """Return the images that the sessions of a build need for their modules."""
    found = {component.image for module in from_json(kept) for component in module.components}
    return frozenset(image for image in found if image)
