"""A real engine, and images whose servers do what a test needs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from binder.cgroups import limits_for, read_cgroup_facts
from binder.names import new_session_id, new_token
from binder.paths import Paths
from binder.process import Account
from deploy.engine import Engine, Running, SessionSpec
from deploy.podman import PodmanEngine
from tests.builds import Builder
from tests.deploy.images import (
    CLUSTER_ENTRY_POINTS,
    ENTRY_POINTS,
    make_image_of_an_author,
    make_images,
    make_small_image,
    name_of,
)

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient

    from deploy.kubernetes import KubernetesEngine
    from tests.cluster.given import Cluster


def new_spec(image: str) -> SessionSpec:
    """Return a new session of an image, with limits that are quickly reached."""
    return SessionSpec(new_session_id(), image, new_token(), memory_bytes=512 * 2**20, cpus=1.0, pids=128)


async def until_it_left(engine: Engine, session_id: str, *, seconds: float = 15) -> Running:
    """Wait until a session's server has ended by itself, and return what the engine says of it."""
    for _ in range(int(seconds / 0.05)):
        found = (await engine.running())[session_id]
        if not found.alive:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("the session goes on")


@pytest.fixture(scope="session")
def odd_images(builder: Builder, jupyter_image: str) -> Iterator[Callable[[str], str]]:
    """Images whose servers do something odd: `odd_images("leaves")` is the name of one."""
    make_images(builder, jupyter_image)
    yield name_of
    asyncio.run(builder.forget(map(name_of, ENTRY_POINTS)))


@pytest.fixture(scope="session")
def image_of_an_author(builder: Builder, jupyter_image: str) -> Iterator[str]:
    """An image as a Dockerfile could have made it, with a JupyterLab that the author chose."""
    name = make_image_of_an_author(builder, jupyter_image)
    yield name
    asyncio.run(builder.forget([name]))


@pytest.fixture(scope="session")
def small_image(builder: Builder) -> Iterator[str]:
    """An image of nothing but busybox, whose server goes on."""
    name = make_small_image(builder)
    yield name
    asyncio.run(builder.forget([name]))


@pytest.fixture
async def kubernetes_engine(cluster: "Cluster") -> "AsyncIterator[KubernetesEngine]":
    """Kubernetes, with a namespace of the test's own, in which "restricted" is enforced.

    What it may do there is what it says that it needs, and nothing else.
    """
    from deploy.kubernetes import kubernetes_engine as open_engine  # noqa: PLC0415 - takes two seconds
    from deploy.rights import SESSIONS_RULES  # noqa: PLC0415

    with cluster.namespace(pod_security="restricted") as namespace:
        token = namespace.account(SESSIONS_RULES)
        async with (
            connection_of(cluster, token) as connection,
            open_engine(connection, namespace=namespace.name, instance="0123abcd") as engine,
        ):
            yield engine


def connection_of(cluster: "Cluster", token: str) -> "ApiClient":
    """Return a connection to the cluster of whoever has this token."""
    from kubernetes.aio.client import ApiClient, Configuration  # noqa: PLC0415 - takes two seconds

    administrator = cluster.api.wires.api_client.configuration
    configuration: Any = Configuration(host=administrator.host, ssl_ca_cert=administrator.ssl_ca_cert)
    configuration.api_key = {"BearerToken": f"Bearer {token}"}
    return ApiClient(configuration)


@pytest.fixture(scope="session")
def odd_cluster_images(cluster: "Cluster") -> Callable[[str], str]:
    """Images like `odd_images`, of busybox alone, in the cluster's registry."""
    from tests.cluster.images import BUSYBOX_IMAGE, name_in, push_images  # noqa: PLC0415

    small = BUSYBOX_IMAGE["busybox"]
    made = {what: replace(small, entry_point=script) for what, script in CLUSTER_ENTRY_POINTS.items()}
    push_images(made, cluster.registry)
    return lambda what: name_in(cluster.registry, what)


@pytest.fixture
async def engine(paths: Paths, account: Account) -> AsyncIterator[PodmanEngine]:
    """Podman, with no session at first and none afterwards."""
    engine = PodmanEngine(paths, account, limits_for(read_cgroup_facts()))
    yield engine
    await asyncio.gather(*(engine.stop(session_id) for session_id in await engine.running()))
