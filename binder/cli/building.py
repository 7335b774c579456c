"""`binder build`: a repository, the heads of all live previews, or the images of modules."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from binder.cli.following import Progress, fault_of, followed_build
from binder.cli.service import Alone, Service, chosen_service, named, remove_pods
from binder.cli.showing import print_json, print_table, short
from binder.errors import BinderError
from binder.lifecycle import SessionState


def build_one(repository: str, *, ref: str, again: bool, as_json: bool) -> None:
    """Build a commit, and print what became of it.

    Raises: BinderError: the build's own fault.
    """
    asyncio.run(_build_one(repository, ref, again=again, as_json=as_json))


def build_all(*, again: bool, as_json: bool) -> None:
    """Build the heads of all live previews, and print what became of them.

    Raises: BinderError: the first build's that failed.
    """
    asyncio.run(_build_all(again=again, as_json=as_json))


async def _build_one(repository: str, ref: str, *, again: bool, as_json: bool) -> None:
    async with chosen_service(works=True) as service:
        name, at = await named(service, repository, ref)
        said = await service.ask("POST", "/api/builds", {"repository": name, "ref": at, "again": again})
        await _finish(service, said["builds"], as_json=as_json, many=False)


async def _build_all(*, again: bool, as_json: bool) -> None:
    async with chosen_service(works=True) as service:
        said = await service.ask("POST", "/api/builds", {"all": True, "again": again})
        await _finish(service, said["builds"], as_json=as_json, many=True)


async def _finish(service: Service, builds: Sequence[Mapping[str, Any]], *, as_json: bool, many: bool) -> None:
    """Wait for builds, print them, and raise the first fault."""
    async with Progress().shown() as progress:
        ended = [await followed_build(service, build, progress) for build in builds]
    await _end_proofs(service, ended)
    if as_json:
        print_json(ended if many else ended[0])
    else:
        rows = [_row(build) for build in ended]
        print_table(
            ("build", "repository", "commit", "state", "way", "took", "image"), rows, nothing="Nothing is live."
        )
    faults: list[BinderError] = [error for build in ended if (error := await fault_of(service, build))]
    if faults:
        raise faults[0]


def _row(build: Mapping[str, Any]) -> Sequence[Any]:
    seconds = None if build["seconds"] is None else f"{build['seconds']:.1f} s"
    of = (build["build"], build["repository"], short(build["sha"]))
    return (*of, build["state"], build["way"], seconds, build["image"])


async def _end_proofs(service: Service, builds: Sequence[Mapping[str, Any]]) -> None:
    """End the sessions that proved the images, where nobody stays to give them to visitors."""
    if not isinstance(service, Alone) or service.loops is None:
        return
    numbers = {build["build"] for build in builds}
    live = (await service.ask("GET", "/api/lists/sessions", limit=1000))["items"]
    proofs = [row["session"] for row in live if row["build"] in numbers and row["state"] != SessionState.OPEN]
    for session_id in proofs:
        await service.ask("POST", "/api/stop", {"session": session_id})
    await remove_pods(service, proofs)


def build_modules(names: Sequence[str], *, as_json: bool) -> None:
    """Build the images of modules.

    Raises: BinderError.
    """
    from binder.cli.modules import make_images  # noqa: PLC0415

    make_images(names, as_json=as_json)
