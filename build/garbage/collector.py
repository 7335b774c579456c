"""Removes what nobody needs any more: images, git objects, locks, and what broken-off builds left behind.

What goes is decided by `build.garbage.choice`. Here it is looked at, and removed: each image under the lock that keeps
it from being reached for meanwhile (`binder.uses`), after one more look, and never by force: Buildah itself keeps an
image on which a container runs.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta

from binder.figures import Figures
from binder.log import logger
from binder.paths import Paths
from binder.process import Account, TimedOutError, run
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import utc_now
from binder.uses import last_uses, mark_used, removing_foreign_images, removing_images, tag_of
from build.buildah import Buildah
from build.garbage.cache_files import CacheFiles, files_in
from build.garbage.choice import (
    KeptFile,
    Needed,
    Policy,
    Removal,
    StoredImage,
    bytes_of,
    files_to_remove,
    images_to_remove,
    may_go,
)
from build.garbage.needs import (
    forget_images,
    images_with_modules,
    kept_locks,
    last_sessions,
    made_images,
    needed_images,
)
from build.garbage.storage import Stored, stored_in

log = logger(__name__)

EVERY_SECONDS = 3600.0
_LEAST_GRACE = timedelta(hours=2)
_MOST_LAYERS = 5
_REMOVAL_SECONDS = 60.0


@dataclass(frozen=True)
class Garbage:
    """What a look found: what goes, and what it is about. `over_bytes` is by how much the rest exceeds the budget."""

    images: tuple[Removal, ...]
    files: tuple[KeptFile, ...]
    stored: int
    stored_bytes: int
    over_bytes: int

    @property
    def image_bytes(self) -> int:
        """What removing the images frees."""
        return sum(removal.frees_bytes for removal in self.images)

    @property
    def file_bytes(self) -> int:
        """What removing the files frees."""
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class Kept:
    """What was to go and stayed, with the reason."""

    name: str
    reason: str


def policy_of(settings: Settings, *, age_seconds: float | None = None, disk_bytes: int | None = None) -> Policy:
    """Return what the operator allows; what is given here stands before the settings."""
    seconds = age_seconds if age_seconds is not None else settings.images_age_seconds or None
    budget = disk_bytes if disk_bytes is not None else settings.images_disk_bytes or None
    return Policy(
        age=None if seconds is None else timedelta(seconds=seconds),
        disk_bytes=budget,
        # Every service says once an hour what it needs, and every build at its beginning what it uses.
        grace=max(_LEAST_GRACE, timedelta(seconds=_MOST_LAYERS * settings.build_timeout_seconds)),
    )


class Collector:
    """Collects garbage of one engine's storage, for one store; with no age and no budget it only says what is needed.

    `has_registry`: an image that is not here may still be there.
    """

    def __init__(
        self,
        store: Store,
        buildah: Buildah,
        account: Account,
        policy: Policy,
        *,
        has_registry: bool = False,
        figures: Figures | None = None,
    ) -> None:
        self._figures = figures or Figures()
        self._store = store
        self._buildah = buildah
        self._paths: Paths = buildah.paths
        self._files = CacheFiles(buildah, account)
        self._policy = policy
        self._has_registry = has_registry
        self._due_at = 0.0

    async def step(self) -> bool:
        """Once an hour: say what this service needs, and remove what nobody does."""
        if time.monotonic() < self._due_at:
            return False
        await self.mark()
        if self._policy.age is not None or self._policy.disk_bytes is not None:
            garbage = await self.look()
            kept = await self.remove(garbage)
            stayed = {one.name for one in kept}
            self._figures.collected(
                images=sum(name_of(one.image) not in stayed for one in garbage.images),
                files=sum(one.path.name not in stayed for one in garbage.files),
                freed_bytes=garbage.image_bytes + garbage.file_bytes,
                at=time.time(),
            )
            log.info(
                "garbage_collected",
                images=len(garbage.images),
                files=len(garbage.files),
                freed_bytes=garbage.image_bytes + garbage.file_bytes,
                over_bytes=garbage.over_bytes,
                kept=[f"{one.name}: {one.reason}" for one in kept],
            )
        else:
            await self._forget_lost()
            self._figures.collected(images=0, files=0, freed_bytes=0, at=time.time())
        self._due_at = time.monotonic() + EVERY_SECONDS
        return False

    async def mark(self) -> None:
        """Tell the services that share the cache what this one needs, and when it last had sessions of what."""
        await mark_used(self._paths, await needed_images(self._store) | await kept_locks(self._store))
        sessions = await last_sessions(self._store)
        for image in {name for one in (await self._stored()).images for name in one.names} & sessions.keys():
            await mark_used(self._paths, [image], at=sessions[image])

    async def look(self) -> Garbage:
        """Return what would go now; nothing is changed."""
        # First what is there, then what is needed of it: what is made meanwhile is not among the former.
        stored = await self._stored()
        needed = Needed(await needed_images(self._store), stored.in_containers)
        images = images_to_remove(stored.images, needed, self._policy, utc_now())
        tags = {tag for image in stored.images for tag in map(tag_of, image.names) if tag}
        # The marks of what is in a registry only are `build.garbage.registry_collector`'s.
        tags |= last_uses(self._paths).keys() if self._has_registry else set()
        found = await asyncio.to_thread(files_in, self._paths, tags)
        files = files_to_remove(found, await kept_locks(self._store), self._policy, utc_now())
        before = bytes_of(stored.images)
        left = before - sum(removal.frees_bytes for removal in images)
        budget = self._policy.disk_bytes
        over = 0 if budget is None else max(0, left - budget)
        return Garbage(images, files, len(stored.images), before, over)

    async def remove(self, garbage: Garbage) -> tuple[Kept, ...]:
        """Remove what a look found, and return what stayed after all."""
        images = [(name_of(one.image), await self._remove_image(one.image)) for one in garbage.images]
        await self._forget_lost()
        files = [(one.path.name, await self._files.remove(one)) for one in garbage.files]
        return tuple(Kept(name, reason) for name, reason in (*images, *files) if reason)

    async def _remove_image(self, image: StoredImage) -> str | None:
        """Remove an image; return why it stays, or None."""
        if image.kind != "foreign":
            return await self._remove_unused(image)
        async with removing_foreign_images(self._paths) as is_alone:
            return await self._remove_unused(image) if is_alone else "A build of a Dockerfile runs."

    async def _remove_unused(self, image: StoredImage) -> str | None:
        async with removing_images(self._paths):
            stored = await self._stored()
            needed = Needed(await needed_images(self._store), stored.in_containers)
            if not may_go(image, stored.images, needed):
                return "It is in use, or was used meanwhile."
            # By its names: one that it got meanwhile keeps it.
            command = self._buildah.command(["buildah", "rmi", *(image.names or (image.id,))])
            try:
                done = await run(command, timeout_seconds=_REMOVAL_SECONDS)
            except TimedOutError as error:
                return f"Buildah did not end within {error.seconds:g} s."
            return None if done.ok else _last_line(done.output)

    async def _stored(self) -> Stored:
        """Return what the storage holds, and when it was last used by anybody's marks and this store's sessions."""
        uses = last_uses(self._paths)
        for image, ended_at in (await last_sessions(self._store)).items():
            if tag := tag_of(image):
                uses[tag] = max(ended_at, uses.get(tag, ended_at))
        return await asyncio.to_thread(stored_in, self._paths.engine, uses)

    async def _forget_lost(self) -> None:
        """Notice what was removed, by whomever."""
        if self._has_registry:
            return
        made = await made_images(self._store)  # before the look: what is made meanwhile is not lost
        of_modules = await images_with_modules(self._store)
        there = {name for image in (await self._stored()).images for name in image.names}
        # Without an image of one of its modules, that of a notebook cannot be used; a registry's can be had again.
        lost = {image for image, needed in of_modules.items() if any(tag_of(one) for one in needed - there)}
        await forget_images(self._store, (made - there) | lost)


def name_of(image: StoredImage) -> str:
    """Return how people call an image: its first name, or else the beginning of its id."""
    return image.names[0] if image.names else image.id[:12]


def _last_line(output: str) -> str:
    lines = [line.strip(" *\t") for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
