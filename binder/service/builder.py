"""Wires what builds are made with: for the service, for `binder lock`, and for tests."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from binder.containers import Registries, prepare_engine, release_engine
from binder.paths import Paths
from binder.process import Account
from binder.service.folders import open_lock, try_lock
from binder.service.modules import operators_catalogue
from binder.settings import Settings
from build.alone import Alone
from build.build_systems import BuildSystems
from build.buildah import Buildah, Network
from build.commits.downloads import Downloads
from build.commits.git import Git
from build.commits.records import Archives, Records
from build.containerfiles import Containerfiles
from build.contents import Contents
from build.environments import Environments
from build.foundations import Foundations
from build.host import HostSettings, find_host_settings, write_host_folder
from build.images import Images, LocalImages, LocalTexts, RegistryImages, RegistryTexts, Texts
from build.module_choice import ModuleChoice
from build.module_images import ModuleImages
from build.pipeline import Pipeline
from build.planner import Planner
from build.recipes.conda import CondaChannels
from build.registries.registry import Registry
from build.resolution import Resolution
from build.tools import Tools
from build.worker import Maker
from modules.catalogue import Catalogue, built_in
from templates.replacing import replace_from


@dataclass(frozen=True)
class Builder:
    """What builds are made with; to be prepared, and closed.

    `again` makes environments once more, behind everything else that runs; `module_images` makes those of modules.
    """

    paths: Paths
    account: Account
    host: HostSettings
    buildah: Buildah
    git: Git
    registry: Registry | None
    images: Images
    planner: Planner
    pipeline: Maker
    again: Environments
    module_images: ModuleImages

    async def prepare(self) -> None:
        """Make what builds share; to be called once, before the first of them."""
        # Their owner, the user of the images, exists only in a namespace.
        script = 'install -d -o 1000 -g 1000 "$@"'
        folders = (str(self.paths.wheels(with_credentials=has)) for has in (False, True))
        await self.buildah.run_script(script, *folders, step="folders", take=None)

    async def close(self) -> None:
        """Let go of the registry, where there is one."""
        if self.registry:
            await self.registry.close()


def wired_builder(
    settings: Settings,
    paths: Paths,
    account: Account,
    host: HostSettings,
    *,
    objects: Paths | None = None,
    buildah: type[Buildah] = Buildah,
    catalogue: Catalogue | None = None,
) -> Builder:
    """Return a builder on an engine that is ready (`prepare_engine`) and has its tools (`write_host_folder`).

    git keeps what it fetches below `objects`, or else where everything is. `buildah` may be a stand-in. `catalogue` has
    the modules that can be asked for; None: Binder's own.
    """
    replace_from(settings.templates)
    catalogue = built_in() if catalogue is None else catalogue
    front = buildah(paths, account, timeout_seconds=settings.build_timeout_seconds)
    git = wired_git(settings, objects or paths, account, host.certificates)
    registry = _registry(settings) if settings.registry else None
    images: Images = RegistryImages(registry, front) if registry else LocalImages(front)
    texts = _texts_in(registry, paths)
    alone = Alone(paths.making)

    def tools_of(with_: Buildah) -> Tools:
        return Tools(paths, with_, images, texts, Foundations(with_, images, texts, alone), host, alone)

    tools = tools_of(front)
    behind = buildah(paths, account, timeout_seconds=settings.build_timeout_seconds, in_background=True)
    made, again = Environments(tools), Environments(tools_of(behind))
    channels = CondaChannels(settings.conda_channel_alias)
    resolution = Resolution(tools, channels)
    has_credentials = host.has_credentials
    planner = Planner(
        paths,
        git,
        resolution,
        images,
        suite=settings.debian_suite,
        has_credentials=has_credentials,
        most=settings.session_resources_at_most,
        modules=ModuleChoice(
            git,
            catalogue,
            of_repositories=settings.repository_modules,
            most_bytes=settings.modules_memory_bytes_at_most,
        ),
    )
    network: Network = "host" if settings.build_network == "always" else "none"
    of_modules = ModuleImages(tools, network, suite=settings.debian_suite)
    contents = Contents(paths, front, images, texts, host, network)
    containerfiles = Containerfiles(front, images, texts, host, network)
    systems = BuildSystems(tools)
    pipeline = Pipeline(paths, planner, images, texts, alone, made, systems, contents, containerfiles, of_modules)
    return Builder(paths, account, host, front, git, registry, images, planner, pipeline, again, of_modules)


@asynccontextmanager
async def opened_texts(settings: Settings, paths: Paths) -> AsyncIterator[Texts]:
    """Give the locks and records that builds are made with, to whoever makes none."""
    registry = _registry(settings) if settings.registry else None
    try:
        yield _texts_in(registry, paths)
    finally:
        if registry:
            await registry.close()


def _texts_in(registry: Registry | None, paths: Paths) -> Texts:
    return RegistryTexts(registry, LocalTexts(paths)) if registry else LocalTexts(paths)


def wired_git(settings: Settings, paths: Paths, account: Account, certificates: Path | None) -> Git:
    """Return git, which keeps what it fetches below `paths`."""
    return Git(
        paths,
        account,
        certificates,
        _records(settings, certificates),
        timeout_seconds=settings.fetch_timeout_seconds,
        most_bytes=settings.repository_bytes,
    )


@asynccontextmanager
async def running_builder(
    settings: Settings,
    paths: Paths,
    account: Account,
    host: HostSettings | None = None,
    catalogue: Catalogue | None = None,
) -> AsyncIterator[Builder]:
    """Give what builds are made with; what interrupted builds left behind is removed, if nobody else builds here.

    `host` is what is known of package indexes, and `catalogue` has the modules that can be asked for; None looks at
    this host, and at what the settings name.
    """
    await prepare_engine(paths, account, registries_of(settings))
    host = host or await find_host_settings(cran=settings.cran_url, cran_snapshot=settings.cran_snapshot_url)
    await asyncio.to_thread(write_host_folder, host, paths)
    git = wired_git(settings, paths, account, host.certificates)
    catalogue = catalogue or await operators_catalogue(settings, paths, git)
    builder = wired_builder(settings, paths, account, host, catalogue=catalogue)
    with open_lock(paths.cache / "in-use") as descriptor:
        if try_lock(descriptor):
            await builder.buildah.remove_leftovers()
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_SH)
        await builder.prepare()
        try:
            yield builder
        finally:
            await builder.close()
        if try_lock(descriptor):
            await release_engine(paths, account)


def registries_of(settings: Settings) -> Registries:
    """Return what Buildah and podman are told of registries."""
    return Registries(
        settings.registry,
        settings.registry_username,
        settings.registry_password.get_secret_value(),
        settings.registry_plain_http,
        settings.registry_certificates,
        settings.docker_mirror,
    )


def _records(settings: Settings, certificates: Path | None) -> Records:
    archives = Archives(settings.zenodo_url, settings.figshare_api_url, settings.hydroshare_url, settings.doi_url)
    known = {urlsplit(url).netloc for url in astuple(archives)} | set(settings.git_hosts)
    return Records(Downloads(certificates, known), archives)


def _registry(settings: Settings) -> Registry:
    return Registry(
        settings.registry,
        username=settings.registry_username,
        password=settings.registry_password,
        certificates=settings.registry_certificates,
        plain_http=settings.registry_plain_http,
    )
