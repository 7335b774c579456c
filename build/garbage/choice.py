"""Which images and files nobody needs any more, decided: from what is stored, what is needed, and the time.

Pure. What is stored is read by `build.garbage.storage`, what is needed and how it goes is `build.garbage.collector`'s.

An image is kept while it is needed, while a container or a kept image lies on it, or while it was used so lately that
somebody may be about to use it again. Of the others those go that were not used for longer than the operator's age;
then, until the rest fits into the budget, those that were not used for longest. What lies on another image always goes
before it: the layers below would not be freed otherwise.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal

from binder.uses import named, tag_of

ENVIRONMENT_LASTS = 3
"""How many times longer than contents the environments, and what they lie on, are kept: they cost minutes to make."""

LEFTOVERS_LAST = timedelta(days=1)
"""How long the folder of a build is taken for one that still runs."""

RECORD = "record-"
"""What stands before the tag of an image in the name of what is known of it."""

_LONG_LIVED = frozenset({"base", "system", "environment", "prepared", "module", "lock"})

FileKind = Literal["git", "lock", "work", "mark"]


@dataclass(frozen=True)
class StoredLayer:
    """One layer of the storage, and the bytes of its files; images share layers."""

    id: str
    bytes: int


@dataclass(frozen=True)
class StoredImage:
    """An image of the storage. `layers` go from the bottom up; `used_at` is its last mark, or when it was stored."""

    id: str
    names: tuple[str, ...]
    digest: str
    layers: tuple[StoredLayer, ...]
    used_at: datetime

    @property
    def kind(self) -> str:
        """The kind of one of our images, or `foreign`."""
        return next((parts[0] for parts in map(named, self.names) if parts), "foreign")


@dataclass(frozen=True)
class Needed:
    """What must stay: images by name or tag, and by id those that containers run on."""

    names: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()

    @cached_property
    def tags(self) -> frozenset[str]:
        """The tags of those of our images that are needed by name, in whichever repository they are."""
        return frozenset(tag for tag in map(tag_of, self.names) if tag)


@dataclass(frozen=True)
class Policy:
    """What the operator allows. `age` or `disk_bytes` None: nothing goes for its age, or for its size.

    What was used within `grace` stays in any case: it must be longer than a build may take, and than services
    leave between two looks at their needs.
    """

    age: timedelta | None
    disk_bytes: int | None
    grace: timedelta


@dataclass(frozen=True)
class Removal:
    """An image that goes, why, and what its going frees once those before it are gone."""

    image: StoredImage
    reason: str
    frees_bytes: int


@dataclass(frozen=True)
class KeptFile:
    """A file or folder of the cache, and when it was last used."""

    path: Path
    kind: FileKind
    bytes: int
    used_at: datetime


def is_needed(image: StoredImage, needed: Needed) -> bool:
    """Whether an image is needed itself; those that it lies on are not asked about."""
    by_name = any(name in needed.names or tag_of(name) in needed.tags for name in image.names)
    return by_name or image.id in needed.ids


def may_go(image: StoredImage, images: Sequence[StoredImage], needed: Needed) -> bool:
    """Whether an image that was to go still may: it is what it was, nobody needs it, and nothing lies on it."""
    return image in images and not is_needed(image, needed) and not _above(images)[image.id]


def images_to_remove(
    images: Sequence[StoredImage], needed: Needed, policy: Policy, now: datetime
) -> tuple[Removal, ...]:
    """Return the images that go, in the order in which they must."""
    leaving = _Leaving(images, needed, policy, now)
    if policy.age is not None:
        age = policy.age
        leaving.take(lambda image: leaving.unused(image) > age * _lasts(image.kind), "It was not used for {}.")
    if policy.disk_bytes is not None:
        budget = policy.disk_bytes
        leaving.take(
            lambda _: leaving.bytes_left > budget,
            "The disk budget is used up, and it was not used for {}.",
        )
    return tuple(leaving.removals)


def files_to_remove(
    files: Iterable[KeptFile], locks: Collection[str], policy: Policy, now: datetime
) -> tuple[KeptFile, ...]:
    """Return the files that go: leftovers of builds in any case, others only for their age; never one of `locks`."""
    unused = (file for file in files if now - file.used_at > _lasts_file(file.kind, policy))
    return tuple(file for file in unused if file.kind != "lock" or file.path.name not in locks)


@dataclass(frozen=True)
class RegistryTag:
    """A tag of a registry, the digest that it stands for, and when it was last used, or first seen here."""

    tag: str
    digest: str
    used_at: datetime


def registry_tags_to_remove(
    tags: Iterable[RegistryTag], needed: Needed, policy: Policy, now: datetime
) -> tuple[RegistryTag, ...]:
    """Return the tags that go for their age; tags of one digest go together or not at all, for it is what is deleted.

    A registry does not say what it takes, so that no budget holds for it; and what is not ours is left alone.
    """
    together: dict[str, list[RegistryTag]] = {}
    for tag in tags:
        together.setdefault(tag.digest, []).append(tag)
    gone = (group for group in together.values() if all(_tag_goes(tag, needed, policy, now) for tag in group))
    return tuple(sorted((tag for group in gone for tag in group), key=lambda tag: tag.tag))


def subject_of(tag: str) -> str | None:
    """Return the tag of the image that a tag of ours is about: an image's own, or that of the record of one."""
    return tag_of(tag.removeprefix(RECORD))


def _tag_goes(tag: RegistryTag, needed: Needed, policy: Policy, now: datetime) -> bool:
    subject = subject_of(tag.tag)
    if subject is None or subject in needed.tags or policy.age is None:
        return False
    unused = now - tag.used_at
    return unused > max(policy.age * _lasts(subject.partition("-")[0]), policy.grace)


def bytes_of(images: Iterable[StoredImage]) -> int:
    """Return what images take together; a layer that several have counts once."""
    return sum({layer.id: layer.bytes for image in images for layer in image.layers}.values())


def span(time: timedelta) -> str:
    """Say how long a time is, to a person."""
    hours = time.total_seconds() / 3600
    number, unit = (round(hours), "hour") if hours < 48 else (round(hours / 24), "day")
    return f"{number} {unit}{'' if number == 1 else 's'}"


class _Leaving:
    """The images while some of them leave; an account of what that frees."""

    def __init__(self, images: Sequence[StoredImage], needed: Needed, policy: Policy, now: datetime) -> None:
        self._now = now
        self._left = {image.id: image for image in images}
        self._above = _above(images)
        self._holders = Counter(layer.id for image in images for layer in image.layers)
        self._used = {
            lower: max(self._left[one].used_at for one in (lower, *above)) for lower, above in self._above.items()
        }
        self._kept = {image.id for image in images if is_needed(image, needed) or self.unused(image) <= policy.grace}
        self.bytes_left = bytes_of(images)
        self.removals: list[Removal] = []

    def unused(self, image: StoredImage) -> timedelta:
        """Return for how long neither the image nor one that lies on it was used."""
        return self._now - self._used[image.id]

    def take(self, goes: Callable[[StoredImage], bool], reason: str) -> None:
        """Let those images leave that may and of which `goes` is true, the longest unused first."""
        # Of two that were used at the same time, the one that lies on the other comes first.
        for image in sorted(self._left.values(), key=lambda one: (self._used[one.id], -len(one.layers), one.id)):
            free = image.id not in self._kept and not self._above[image.id] & self._left.keys()
            if free and goes(image):
                del self._left[image.id]
                self.removals.append(Removal(image, reason.format(span(self.unused(image))), self._free(image)))

    def _free(self, image: StoredImage) -> int:
        self._holders.subtract(layer.id for layer in image.layers)
        freed = sum(layer.bytes for layer in image.layers if not self._holders[layer.id])
        self.bytes_left -= freed
        return freed


def _above(images: Iterable[StoredImage]) -> Mapping[str, frozenset[str]]:
    """Return which images lie on which: the id of the lower one → the ids of the others."""
    images = list(images)
    with_top: dict[str, set[str]] = {}
    for image in images:
        with_top.setdefault(image.layers[-1].id if image.layers else "", set()).add(image.id)
    found: dict[str, set[str]] = {image.id: set() for image in images}
    for image in images:
        for layer in image.layers[:-1]:
            for lower in with_top.get(layer.id, ()):
                found[lower].add(image.id)
    return {lower: frozenset(above) for lower, above in found.items()}


def _lasts(kind: str) -> int:
    return ENVIRONMENT_LASTS if kind in _LONG_LIVED else 1


def _lasts_file(kind: FileKind, policy: Policy) -> timedelta:
    if kind == "work":
        return max(LEFTOVERS_LAST, policy.grace)
    if policy.age is None:
        return timedelta.max
    return max(policy.age * (1 if kind == "git" else ENVIRONMENT_LASTS), policy.grace)
