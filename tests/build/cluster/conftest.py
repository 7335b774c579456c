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
    from binder.service.builder import Builder as Wired
    from tests.cluster.given import Cluster, Namespace

_PUSH = 'buildah push --quiet --tls-verify=false "$1" "docker://$2"'


@dataclass
class Service:
    """A service with builds on a cluster: its `settings`, and the namespace of its builds."""

    namespace: "Namespace"
    settings: dict[str, Any]
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
    place, tag = f"{cluster.registry}/builds-{new_session_id()}", the_base().tag
    names = (f"{LOCAL}:{tag}", f"{place}:{tag}")
    asyncio.run(builder.buildah.run_script(_PUSH, *names, step="push", take=None))
    return place


@pytest.fixture
def git_of_pods(reachable_path: Path, account: Account, cluster: "Cluster") -> Iterator[GitServer]:
    """A server of git repositories that pods reach."""
    root = reachable_path / "repositories"
    root.mkdir()
    root.chmod(0o755)
    with git_server(root, account, cluster.host) as server:
        yield server


@pytest.fixture
async def service(
    cluster: "Cluster", builder_image: str, registry_with_base: str, account: Account, reachable_path: Path
) -> AsyncIterator[Service]:
    """A service of which the builds run in a namespace of the test's own; nothing is left of them after it."""
    async with running_service(cluster, builder_image, registry_with_base, account, reachable_path) as service:
        yield service


@asynccontextmanager
async def running_service(
    cluster: "Cluster", image: str, registry: str, account: Account, folder: Path, **more: object
) -> AsyncIterator[Service]:
    """Run a service with builds in a namespace of its own."""
    from kubernetes.aio.config import new_client_from_config  # noqa: PLC0415 - takes two seconds

    from binder.service import cluster_builder as wiring  # noqa: PLC0415

    connect: Any = new_client_from_config
    with cluster.namespace() as namespace:
        reached = f"{cluster.registry.partition(':')[0]}/32,{cluster.host}/32"
        chosen: dict[str, Any] = {
            "state_dir": folder / "state",
            "cache_dir": folder / "cache",
            "registry": registry,
            "registry_plain_http": True,
            "builds_namespace": namespace.name,
            "builder_image": image,
            "builder_networks": reached,
            "build_memory_bytes": 2 * 2**30,
            **more,
        }
        settings = read_settings(**chosen)
        paths = Paths(settings.state_dir, settings.cache_dir)
        paths.make(account)
        async with (
            await connect(str(cluster.kubeconfig)) as connection,
            wiring.cluster_builder(settings, paths, account, connection) as wired,
        ):
            service = Service(namespace, chosen, wired, folder)
            before = service.left()
            yield service
            assert service.left() == before
