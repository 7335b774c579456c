"""Removes from a registry what nobody needs any more.

A registry does not say when a tag was pushed or pulled: what is seen for the first time counts as used then, and each
later use leaves its mark in this machine's cache. So this is only right where all who use the registry share this
machine's cache folder or its store, and it is only ever done when an operator says so.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from binder.paths import Paths
from binder.store import Store
from binder.store.tables import utc_now
from binder.uses import last_uses, mark_of, mark_used, removing_images
from build.garbage.choice import Needed, Policy, RegistryTag, registry_tags_to_remove, subject_of
from build.garbage.needs import forget_images, kept_locks, last_sessions, needed_images


class Tags(Protocol):
    """The tags of one repository of a registry."""

    reference: str
    """What stands before the tag in an image's name."""

    async def tags(self) -> list[str]:
        """Return all tags."""
        ...

    async def digest(self, tag: str) -> str | None:
        """Return the digest that a tag stands for, None where there is no such tag."""
        ...

    async def delete_manifest(self, digest: str) -> bool:
        """Delete what a digest names, with all of its tags, and return whether it was there."""
        ...


@dataclass(frozen=True)
class RegistryGarbage:
    """What a look found: the tags that go, and how many there are."""

    gone: tuple[RegistryTag, ...]
    stored: int


class RegistryCollector:
    """Collects garbage of one repository of a registry, for one store."""

    def __init__(self, store: Store, registry: Tags, paths: Paths, policy: Policy) -> None:
        self._store = store
        self._registry = registry
        self._paths = paths
        self._policy = policy

    async def look(self) -> RegistryGarbage:
        """Return what would go now. What is seen for the first time is marked; nothing else is changed.

        Raises: BinderError.
        """
        there = [tag for tag in await self._registry.tags() if subject_of(tag)]
        subjects = {subject for subject in map(subject_of, there) if subject}
        await mark_used(self._paths, subjects - last_uses(self._paths).keys())
        sessions = await last_sessions(self._store)
        for image in {f"{self._registry.reference}:{subject}" for subject in subjects} & sessions.keys():
            await mark_used(self._paths, [image], at=sessions[image])
        uses = last_uses(self._paths)
        found = [
            RegistryTag(tag, digest, uses[subject])
            for tag in there
            if (subject := subject_of(tag)) in uses and subject and (digest := await self._registry.digest(tag))
        ]
        needed = await self._needed()
        return RegistryGarbage(registry_tags_to_remove(found, needed, self._policy, utc_now()), len(found))

    async def remove(self, garbage: RegistryGarbage) -> int:
        """Remove what a look found and nobody used since, and return how many tags went.

        Raises: BinderError.
        """
        together: dict[str, list[RegistryTag]] = {}
        for tag in garbage.gone:
            together.setdefault(tag.digest, []).append(tag)
        return sum([await self._remove(digest, tags) for digest, tags in together.items()])

    async def _remove(self, digest: str, tags: list[RegistryTag]) -> int:
        subjects = {tag.tag: subject_of(tag.tag) or "" for tag in tags}
        async with removing_images(self._paths):
            uses, needed = last_uses(self._paths), await self._needed()
            if any(self._is_used(tag, subjects[tag.tag], uses, needed) for tag in tags):
                return 0
            await self._registry.delete_manifest(digest)
            for tag, subject in subjects.items():
                if tag == subject:
                    mark_of(self._paths, subject).unlink(missing_ok=True)
        await forget_images(self._store, {f"{self._registry.reference}:{tag}" for tag in subjects})
        return len(tags)

    async def _needed(self) -> Needed:
        return Needed(await needed_images(self._store) | await kept_locks(self._store))

    @staticmethod
    def _is_used(tag: RegistryTag, subject: str, uses: dict[str, datetime], needed: Needed) -> bool:
        return subject in needed.tags or uses.get(subject, tag.used_at) > tag.used_at
