"""A service whose builds run on a real cluster, and repositories that its pods can fetch."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from binder.lifecycle import BuildState
from binder.names import new_session_id
from binder.paths import Paths
from binder.process import Account
from binder.settings import read_settings
from build.commits.git import Source
from build.images import LOCAL
from build.log import BuildLog, FileLog
from build.pipeline import Built
from build.planner import Job
from tests.build.git_servers import GitServer, git_server
from tests.build.machines import the_base
from tests.builds import Builder

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient

    from binder.service.builder import Builder as Wired
    from tests.cluster.given import Cluster, Namespace

_PUSH = 'buildah push --quiet --tls-verify=false "$1" "docker://$2"'


@dataclass
class Service:
    """A service with builds on a cluster, and the namespace in which these are."""

    namespace: "Namespace"
    wired: "Wired"
    folder: Path
    states: list[BuildState] = field(default_factory=list)

    async def build(self, source: Source, sha: str, *, name: str = "1") -> Built:
        """Build a commit, with its log in `log`.

        Raises: BinderError.
        """
        work = self.folder / f"work-{new_session_id()}"
        work.mkdir()
        notes = BuildLog(FileLog(self.log), secrets=self.wired.host.secrets, most_bytes=2**20)

        async def enter(state: BuildState) -> None:
            self.states.append(state)

        try:
            return await self.wired.pipeline.build(Job(source, sha, notes, work, enter, name=name))
        finally:
            await notes.close()

    @property
    def log(self) -> Path:
        """The file with the log of all builds."""
        return self.folder / "log"

    def pods_made(self) -> int:
        """Return how many pods were made so far, whether or not they are there."""
        events = self.namespace.list("events")
        return len([one for one in events if one["reason"] == "SuccessfulCreate"])

    def left(self) -> dict[str, list[str]]:
        """Return what there is in the namespace that could be a build's: kind → names."""
        jobs = self.namespace.cluster.api.list(f"/apis/batch/v1/namespaces/{self.namespace.name}/jobs")
        found = {kind: self.namespace.list(kind) for kind in ("pods", "secrets", "configmaps")} | {"jobs": jobs}
        return {kind: sorted(one["metadata"]["name"] for one in ones) for kind, ones in found.items()}


@pytest.fixture(scope="session")
def builder_image(cluster: "Cluster") -> str:
    """The image of builders, made of this project as it is, in the cluster's registry."""
    from tests.cluster.own_images import pushed_images  # noqa: PLC0415

    return str(pushed_images(cluster.registry)["images"]["builder"])


@pytest.fixture(scope="session")
def registry_with_base(builder: Builder, jupyter_image: str, cluster: "Cluster") -> str:
    """A repository of the cluster's registry that holds the Debian that everything lies on, and nothing else."""
    place = f"{cluster.registry}/builds-{new_session_id()}"
    push_base(builder, f"{place}:{the_base().tag}")
    return place


def push_base(builder: Builder, name: str) -> None:
    """Bring the Debian that everything lies on into a registry, as `name`."""
    asyncio.run(builder.buildah.run_script(_PUSH, f"{LOCAL}:{the_base().tag}", name, step="push", take=None))


@pytest.fixture(scope="session")
def image_of_others(builder: Builder, jupyter_image: str, cluster: "Cluster") -> str:
    """An image that a Dockerfile may begin with."""
    name = f"{cluster.registry}/others/debian:1"
    push_base(builder, name)
    return name


@pytest.fixture
def git_of_pods(reachable_path: Path, account: Account, cluster: "Cluster") -> Iterator[GitServer]:
    """A server of git repositories that pods reach."""
    root = reachable_path / "repositories"
    root.mkdir()
    root.chmod(0o755)
    with git_server(root, account, cluster.host) as server:
        yield server


@dataclass(frozen=True)
class Shop:
    """What services are made of: the cluster, the image of builders, and a registry that has the base."""

    cluster: "Cluster"
    image: str
    registry: str
    account: Account
    folder: Path

    @asynccontextmanager
    async def service(
        self, *, as_administrator: bool = False, through: str | None = None, **settings: object
    ) -> AsyncIterator[Service]:
        """Run a service with builds in a namespace of its own; nothing is left of them after it.

        What it may do there is what builds say that they need, and nothing else; an administrator sees nodes, too.
        It reaches the API server `through` another address.
        """
        from binder.service.cluster_builder import cluster_builder  # noqa: PLC0415 - takes two seconds
        from build.cluster.rights import BUILDS_RULES  # noqa: PLC0415
        from tests.cluster.given import until  # noqa: PLC0415

        with self.cluster.namespace() as namespace:
            chosen = self._settings(namespace.name) | settings
            paths = Paths(chosen["state_dir"], chosen["cache_dir"])
            paths.make(self.account)
            token = None if as_administrator else namespace.account(BUILDS_RULES)
            async with (
                await self._connection(token, through) as connection,
                cluster_builder(
                    read_settings(**chosen), paths, self.account, connection, instance=paths.instance
                ) as wired,
            ):
                service = Service(namespace, wired, self.folder)
                before = service.left()
                yield service
                # A pod in which nothing runs any more stays until its node has cleared its folders.
                await asyncio.to_thread(until, lambda: service.left() == before, "a build has left something")

    def _settings(self, namespace: str) -> dict[str, Any]:
        return {
            "state_dir": self.folder / "state",
            "cache_dir": self.folder / "cache",
            "registry": self.registry,
            "registry_plain_http": True,
            "builds_namespace": namespace,
            "builder_image": self.image,
            "builder_networks": f"{_port_of(self.cluster.registry)},{self.cluster.host}/32",
            "build_memory_bytes": 2 * 10**9,
        }

    async def _connection(self, token: str | None, through: str | None) -> "ApiClient":
        from kubernetes.aio.client import ApiClient, Configuration  # noqa: PLC0415 - takes two seconds
        from kubernetes.aio.config import load_kube_config  # noqa: PLC0415

        configuration: Any = Configuration()
        load: Any = load_kube_config
        await load(str(self.cluster.kubeconfig), client_configuration=configuration)
        if token:
            configuration.cert_file = configuration.key_file = None
            configuration.api_key = {"BearerToken": f"Bearer {token}"}
        if through:
            configuration.host, configuration.verify_ssl = through, False
        return ApiClient(configuration)


def _port_of(registry: str) -> str:
    """Return the address and port of a registry, as a network policy has them."""
    host, _, port = registry.partition("/")[0].partition(":")
    return f"{host}/32:{port or 443}"


@pytest.fixture
def shop(
    cluster: "Cluster", builder_image: str, registry_with_base: str, account: Account, reachable_path: Path
) -> Shop:
    """What services are made of."""
    return Shop(cluster, builder_image, registry_with_base, account, reachable_path)


@pytest.fixture
async def service(shop: Shop) -> AsyncIterator[Service]:
    """A service of which the builds run in a namespace of the test's own."""
    async with shop.service() as service:
        yield service
