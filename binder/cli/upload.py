"""`binder upload`: the images of a binder, and of its modules, from this machine to a registry."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from binder.cli.following import Progress
from binder.cli.remote import named_service
from binder.cli.service import Alone, chosen_service, named
from binder.cli.showing import print_json, print_table
from binder.containers import Registries, prepare_engine
from binder.errors import VisitorFault
from binder.lifecycle import BuildState
from binder.names import new_session_id
from binder.paths import Paths
from binder.process import find_account
from binder.service.builder import registries_of
from binder.service.folders import make_folders
from binder.settings import Settings
from binder.store.tables import Build
from build.buildah import Buildah
from build.registries.registry import Registry
from build.upload import upload, upload_folder
from modules.bound import images_of
from proxy.operating import Operating

_LARGEST_NUMBER = 2**31


def upload_images(what: str, to: str, *, ref: str, as_json: bool) -> None:
    """Push the images, and print what the registry calls them.

    Raises: BinderError.
    """
    if named_service():
        raise VisitorFault("Images are pushed from the machine that has them: unset BINDER_TOKEN, and run this there.")
    pushed = asyncio.run(_upload(what, to.rstrip("/"), ref))
    if as_json:
        print_json([{"image": image, "reference": reference} for image, reference in pushed.items()])
    else:
        print_table(("image", "in the registry"), [*pushed.items()], nothing="There was nothing to push.")


async def _upload(what: str, to: str, ref: str) -> Mapping[str, str]:
    async with chosen_service() as service:
        assert isinstance(service, Alone)  # noqa: S101 - none is named
        images = _images_of(await _build(service, what, ref))
        settings = service.settings
        account, paths = find_account(settings.build_account), Paths(settings.state_dir, settings.cache_dir)
        make_folders(paths, account)
        await prepare_engine(paths, account, registries_of(settings))
        buildah = Buildah(paths, account, timeout_seconds=settings.build_timeout_seconds)
        registry, registries = _registry(settings, to), _registries(settings, to)
        folder = paths.work / f"upload-{new_session_id()}"
        try:
            async with upload_folder(paths, account, registries, folder), Progress().shown() as progress:
                pushed = {}
                for image in images:
                    progress.say(f"Pushing {image}")
                    pushed[image] = await upload(buildah, registry, registries, image, folder)
                return pushed
        finally:
            await registry.close()


async def _build(service: Alone, what: str, ref: str) -> Build:
    build: Build | None
    if what.isascii() and what.isdigit():
        number = min(int(what[:12]), _LARGEST_NUMBER - 1)
        async with service.store.read() as session:
            build = await session.get(Build, number)
    else:
        operating: Operating = service.operating
        name, at = await named(service, what, ref)
        build = await operating.built(await operating.commit(name, at))
    if build is None or build.state is not BuildState.SUCCEEDED:
        raise VisitorFault(f"There is no build of {what} with an image: `binder build` makes one.")
    return build


def _images_of(build: Build) -> Sequence[str]:
    result: Mapping[str, Any] = build.result or {}
    image = result.get("image")
    if not image:
        raise VisitorFault(f"The image of build {build.id} was removed: build it again.")
    return [str(image), *sorted(images_of(result.get("modules")))]


def _registry(settings: Settings, to: str) -> Registry:
    return Registry(
        to,
        username=settings.registry_username,
        password=settings.registry_password,
        certificates=settings.registry_certificates,
        plain_http=settings.registry_plain_http,
    )


def _registries(settings: Settings, to: str) -> Registries:
    return Registries(
        to,
        settings.registry_username,
        settings.registry_password.get_secret_value(),
        settings.registry_plain_http,
        settings.registry_certificates,
    )
