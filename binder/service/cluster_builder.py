"""Wires builds that run as Jobs of a cluster. What it gives stands where a builder of this machine would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from kubernetes.aio.client import ApiClient

from binder.errors import OperatorFault
from binder.names import new_token
from binder.paths import Paths
from binder.process import Account, account_in_container
from binder.service.builder import Builder, wired_builder, wired_git
from binder.service.modules import operators_catalogue
from binder.settings import Settings
from build.buildah import Buildah
from build.cluster.absent import AbsentBuildah
from build.cluster.api import BuildsApi
from build.cluster.builds import ClusterBuilds
from build.cluster.jobs import BuildJobs
from build.cluster.manifests import Builders
from build.cluster.order import Order, known_by, order_for
from build.host import find_host_settings
from build.planner import Job


def builders_of(settings: Settings) -> Builders:
    """Return the pods that builds run in."""
    return Builders(
        settings.builder_image,
        settings.builder_cache,
        settings.build_memory_bytes,
        settings.builder_seconds,
        dict(settings.builder_node_selector),
        settings.builder_tolerations,
        settings.builder_pull_secrets,
    )


@asynccontextmanager
async def cluster_builder(
    settings: Settings, paths: Paths, account: Account, connection: ApiClient, *, instance: str
) -> AsyncIterator[Builder]:
    """Give what builds are made with, where `settings.builds_namespace` says that they run on a cluster.

    Its Jobs bear the name `instance`.

    Raises: OperatorFault; WorldFault.
    """
    if not (settings.registry and settings.builder_image):
        raise OperatorFault(
            "Builds on a cluster keep their images in a registry, and run in an image of builders: "
            "BINDER_BUILDS_NAMESPACE asks for BINDER_REGISTRY and BINDER_BUILDER_IMAGE."
        )
    account = await account_in_container(account)
    host = await find_host_settings(cran=settings.cran_url, cran_snapshot=settings.cran_snapshot_url)
    known = await asyncio.to_thread(known_by, host)
    git = wired_git(settings, paths, account, host.certificates)
    catalogue = await operators_catalogue(settings, paths, git)
    near = wired_builder(settings, paths, account, host, buildah=AbsentBuildah, catalogue=catalogue)
    builders = builders_of(settings)
    api = BuildsApi(connection, builders, namespace=settings.builds_namespace, instance=instance)
    await api.close_network(settings.builder_networks)

    def order(job: Job) -> Order:
        name = f"binder-{instance}-{job.name}"
        return order_for(settings, known, job.source, job.sha, name=name, mark=new_token(), catalogue=catalogue)

    builds = ClusterBuilds(near.pipeline, near.images, BuildJobs(api, builders), order)
    # What is to be removed of the cache is no image: it can be done without Buildah.
    remover = Buildah(paths, account, timeout_seconds=settings.build_timeout_seconds)
    try:
        yield replace(near, pipeline=builds, buildah=remover)
    finally:
        await near.close()
