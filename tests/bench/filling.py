"""A store as a large service has it: a thousand repositories, thousands of previews, tens of thousands of builds.

One repository in ten is private. Each build has an image of its own, `image_of(number)`.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import insert

from binder.lifecycle import BuildState, DeliveryState
from binder.store import Store
from binder.store.tables import Build, Delivery, Preview, Report, Repository, Row, utc_now

REPOSITORIES, PREVIEWS, BUILDS = 1_000, 5_000, 50_000
_PIECE = 5_000


async def fill(store: Store) -> None:
    """Write all but sessions, and those who open them, into an empty store. Builds count from 0, their ids from 1."""
    ago = utc_now() - timedelta(days=1)
    old = {"queued_at": ago, "finished_at": ago}
    await insert_rows(store, Repository, ({"id": one, **_repository(one)} for one in range(1, REPOSITORIES + 1)))
    await insert_rows(store, Preview, ({"id": one + 1, **_preview(one)} for one in range(PREVIEWS)))
    await insert_rows(store, Build, ({"id": one + 1, **_build(one), **old} for one in range(BUILDS)))
    await insert_rows(store, Delivery, (_delivery(one) for one in range(BUILDS)))
    await insert_rows(store, Report, (_report(one) for one in range(BUILDS)))


def is_private(repository_id: int) -> bool:
    """Whether a repository is."""
    return repository_id % 10 == 0


def repository_of(build: int) -> int:
    """Return the id of a build's repository."""
    return build % PREVIEWS % REPOSITORIES + 1


def sha_of(build: int) -> str:
    """Return the commit that a build is of; the newest ones are what previews show."""
    return f"{build:040x}"


def image_of(build: int) -> str:
    """Return the name of what a build made."""
    return f"image{build}"


async def insert_rows(store: Store, kind: type[Row], rows: Iterable[dict[str, Any]]) -> None:
    """Write many rows of one kind."""
    piece: list[dict[str, Any]] = []
    for row in rows:
        piece.append(row)
        if len(piece) == _PIECE:
            await _write(store, kind, piece)
            piece = []
    if piece:
        await _write(store, kind, piece)


async def _write(store: Store, kind: type[Row], piece: list[dict[str, Any]]) -> None:
    async with store.write() as session:
        await session.execute(insert(kind), piece)


def _repository(number: int) -> dict[str, Any]:
    return {
        "host": "example.org",
        "owner": "ada",
        "name": f"notes{number}",
        "clone_url": f"https://example.org/ada/notes{number}.git",
        "default_branch": "b0",
        "private": is_private(number),
        "access_epoch": 0,
    }


def _preview(number: int) -> dict[str, Any]:
    newest = sha_of(BUILDS - PREVIEWS + number)
    repository = number % REPOSITORIES + 1
    return {"repository_id": repository, "kind": "branch", "ref": f"b{number // REPOSITORIES}", "head_sha": newest}


def _build(number: int) -> dict[str, Any]:
    layers = [{"kind": "content", "key": "0" * 64}] * 4
    return {
        "repository_id": repository_of(number),
        "preview_id": number % PREVIEWS + 1,
        "sha": sha_of(number),
        "state": BuildState.SUCCEEDED,
        "result": {"image": image_of(number), "way": "content", "layers": layers},
    }


def _delivery(number: int) -> dict[str, Any]:
    return {
        "host": "example.org",
        "app_id": 1,
        "guid": f"guid-{number}",
        "event": "push",
        "payload": {"after": sha_of(number)},
        "state": DeliveryState.ACTED,
    }


def _report(number: int) -> dict[str, Any]:
    told = {"state": "success", "description": "Ready"}
    return {
        "repository_id": repository_of(number),
        "kind": "status",
        "subject": sha_of(number),
        "wanted": told,
        "sent": told,
        "owed": False,
    }
