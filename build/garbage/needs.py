"""Which images a store needs: what its live previews show, its builds make, and its sessions run.

Only reads, but for one move: a build whose image has gone is told so, and its commit is built again when it is wanted.
"""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.lifecycle import BuildState
from binder.store import Store
from binder.store.queries import ACTIVE_BUILDS, LIVE_SESSIONS
from binder.store.tables import Build, Preview, Session
from modules.bound import images_of as images_of_modules

_SUCCEEDED = Build.state == BuildState.SUCCEEDED
_IMAGE = Build.result["image"].as_string()


async def needed_images(store: Store) -> frozenset[str]:
    """Return the names and tags of the images that a preview, a build in work or a live session needs."""
    async with store.read() as session:
        live = list(await session.scalars(select(Session).where(Session.state.in_(LIVE_SESSIONS))))
        wanted = {row.build_id for row in live} | await _shown(session)
        builds = await session.scalars(select(Build).where(or_(Build.id.in_(wanted), Build.state.in_(ACTIVE_BUILDS))))
        return frozenset({row.image for row in live}.union(*(images_of(build.result or {}) for build in builds)))


async def kept_locks(store: Store) -> frozenset[str]:
    """Return the tags of the locks of all that was ever built: what has gone is made again of the same packages."""
    async with store.read() as session:
        # Thousands of builds share a few locks, whose lists the store compares as texts.
        lists = await session.scalars(select(Build.result["locks"].as_string()).where(_SUCCEEDED).distinct())
        return frozenset(lock for found in lists if found for lock in json.loads(found))


async def last_sessions(store: Store) -> dict[str, datetime]:
    """Return when a session of each image last ended (UTC): image → time."""
    ended = select(Session.image, func.max(Session.ended_at)).where(Session.ended_at.is_not(None))
    async with store.read() as session:
        return {image: time for image, time in await session.execute(ended.group_by(Session.image)) if time}


def images_of(result: Mapping[str, Any]) -> set[str]:
    """Return the image that a build made and those of its modules, by name, and what it lies on, by tags."""
    layers = {f"{layer['kind']}-{layer['key']}" for layer in result.get("layers") or ()}
    image = result.get("image")
    return layers | images_of_modules(result.get("modules")) | ({image} if image else set())


async def made_images(store: Store) -> frozenset[str]:
    """Return the images of the builds that succeeded."""
    async with store.read() as session:
        images = await session.scalars(select(_IMAGE).where(_SUCCEEDED).distinct())
        return frozenset(filter(None, images))


async def images_with_modules(store: Store) -> dict[str, frozenset[str]]:
    """Return the images whose sessions need others for their modules: image → those."""
    kept = Build.result["modules"].as_string()
    async with store.read() as session:
        rows = await session.execute(select(_IMAGE, kept).where(_SUCCEEDED, kept != "[]").distinct())
        return {image: images_of_modules(json.loads(modules)) for image, modules in rows if image and modules}


async def forget_images(store: Store, gone: Collection[str]) -> None:
    """Take images that have gone from the results of the builds that made them."""
    if not gone:
        return
    async with store.write() as session:
        for build in await session.scalars(select(Build).where(_SUCCEEDED, _IMAGE.in_(gone))):
            build.result = {**(build.result or {}), "image": None}


async def _shown(session: AsyncSession) -> set[int]:
    """Return what each live preview can show: its newest build, and its head's, which another preview may have made."""
    own = select(func.max(Build.id)).join(Preview, Build.preview_id == Preview.id)
    at_head = and_(Build.repository_id == Preview.repository_id, Build.sha == Preview.head_sha)
    found: set[int] = set()
    for newest in (own, select(func.max(Build.id)).join(Preview, at_head)):
        found |= set(await session.scalars(newest.where(Preview.live, _SUCCEEDED).group_by(Preview.id)))
    return found
