"""Which environment that is there already is nearest to the one that is wanted: pure.

A delta is one layer on an earlier environment, in which the packages that changed are exchanged. It takes a second
where the whole takes many. It may only differ from the whole in how its files are spread over layers: both are
installed from the same lock. The depth is bounded, and an environment that was made by a delta is made again, whole, in
the background.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

DEEPEST = 4
"""How many deltas may lie on each other; each is a layer that a session must mount."""

_MOST_CHANGED = 0.25


@dataclass(frozen=True)
class Made:
    """An environment that is there: its key, its family (`build.plan`), and the packages that it has.

    `depth` counts the deltas that it is made of; `pins` maps PyPI's packages to their versions.
    """

    key: str
    family: str
    pins: Mapping[str, str]
    depth: int


@dataclass(frozen=True)
class Delta:
    """The environment to begin with, and the names of the packages that change."""

    start: Made
    changed: tuple[str, ...]


def changed_packages(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the packages that only one of them has, or that they have in different versions."""
    return tuple(sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name)))


def nearest(made: Iterable[Made], families: Collection[str], wanted: Mapping[str, str]) -> Delta | None:
    """Return the cheapest delta, or None where none is worth it: too much changes, or too many lie on each other."""
    near = (one for one in made if one.family in families and one.depth < DEEPEST)
    deltas = [Delta(one, changed_packages(one.pins, wanted)) for one in near]
    best = min(deltas, key=lambda delta: (len(delta.changed), delta.start.depth, delta.start.key), default=None)
    return best if best and len(best.changed) <= max(1, _MOST_CHANGED * len(wanted)) else None
