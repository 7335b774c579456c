"""Which images are brought to which nodes before anybody clicks, decided. Pure; `deploy.preloader` carries it out.

An image is on a few nodes, not on all: the scheduler prefers a node that has it. The likeliest previews come first, and
what they share is counted once: what fits the budget of a node's disk is brought, and stays as long as the node's own
garbage collection lets it. Nothing is removed here: a node makes room by itself, of what was not used for longest.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class LikelyImage(NamedTuple):
    """An image that a preview shows. `layers`: how many bytes each of its layers takes, by its key."""

    name: str
    layers: Mapping[str, int]


class NodeFact(NamedTuple):
    """A node on which sessions may run, and the names of the images that it says it has."""

    name: str
    images: Collection[str]


class Pull(NamedTuple):
    """An image that is brought to a node."""

    node: str
    image: str


@dataclass(frozen=True)
class PreloadFacts:
    """What there is. `likely`: the likeliest to be opened first. `busy`: what is being brought.

    `tried`: what was brought or failed lately, whatever the node says: nodes list only so many images.
    """

    likely: Sequence[LikelyImage]
    nodes: Sequence[NodeFact]
    busy: Collection[Pull] = ()
    tried: Collection[Pull] = ()


@dataclass(frozen=True)
class PreloadBounds:
    """What the operator allows: copies of an image, bytes on a node's disk, and pulls at once on all nodes."""

    copies: int
    disk_bytes: int
    at_once: int


@dataclass
class _Disk:
    """A node's disk, as far as it is planned."""

    layers: set[str] = field(default_factory=set)
    used_bytes: int = 0

    def lacks(self, image: LikelyImage) -> int:
        """Return how many bytes an image would take beside what is there."""
        return sum(size for key, size in image.layers.items() if key not in self.layers)

    def take(self, image: LikelyImage) -> None:
        """Count an image as being there."""
        self.used_bytes += self.lacks(image)
        self.layers.update(image.layers)


def preload_plan(facts: PreloadFacts, bounds: PreloadBounds) -> list[Pull]:
    """Return what to bring next: one image to a node at a time."""
    there = _there(facts)
    disks = {name: _Disk() for name in there}
    for image in facts.likely:
        for name, images in there.items():
            if image.name in images:
                disks[name].take(image)
    idle = set(there) - {pull.node for pull in facts.busy}
    room = bounds.at_once - len(set(facts.busy))
    plan: list[Pull] = []
    for image in facts.likely:
        lacking = bounds.copies - sum(image.name in images for images in there.values())
        if lacking <= 0:
            continue
        if len(plan) >= room:
            break
        fits = [
            name
            for name, images in there.items()
            if image.name not in images and _fits(disks[name], image, bounds.disk_bytes)
        ]
        # Where most of it is already, it takes the least.
        fits.sort(key=lambda name: (disks[name].lacks(image), disks[name].used_bytes, name))
        for name in fits[:lacking]:
            disks[name].take(image)
            if name in idle and len(plan) < room:
                idle.discard(name)
                plan.append(Pull(name, image.name))
    return plan


def _there(facts: PreloadFacts) -> dict[str, set[str]]:
    """Return what is on each node, or was brought there, or is on its way."""
    there = {node.name: set(node.images) for node in facts.nodes}
    for pull in (*facts.busy, *facts.tried):
        if pull.node in there:
            there[pull.node].add(pull.image)
    return there


def _fits(disk: _Disk, image: LikelyImage, most: int) -> bool:
    return disk.used_bytes + disk.lacks(image) <= most


def missing(facts: PreloadFacts, copies: int) -> Iterable[tuple[str, int]]:
    """Give each likely image with how many nodes have it, where those are fewer than they should be."""
    wanted = min(copies, len(facts.nodes))
    for image in facts.likely:
        having = sum(image.name in node.images for node in facts.nodes)
        if having < wanted:
            yield image.name, having
