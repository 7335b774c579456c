"""What several tests of real builds share."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from binder.cgroups import limits_for, read_cgroup_facts
from binder.names import new_session_id, new_token
from binder.paths import Paths
from binder.process import Account
from build.pipeline import Built
from build.plan import Layer
from deploy.engine import SessionSpec
from deploy.podman import PodmanEngine
from deploy.probe import proof_of, run_cell, server_of
from modules.bound import Bound
from modules.services import services_of
from tests.build.hosts import with_hosts
from tests.builds import Builder
from tests.repositories import Files, LocalRepository

_SAMPLES = Path(__file__).parent / "samples/builds"

Build = Callable[..., Awaitable[Built]]
Works = Callable[..., Awaitable[str]]


def environment_of(built: Built) -> Layer:
    """Return the layer of an image's environment."""
    return next(one.layer for one in built.layers if one.layer.kind == "environment")


@pytest.fixture
async def build(builder: Builder) -> AsyncIterator[Build]:
    """Build a repository's head, or another commit of it, here or `by` another builder.

    What is a commit's own is removed after the test; what others may use stays, and makes the next run fast.
    """
    made: list[tuple[Builder, str]] = []

    async def build_commit(
        repository: LocalRepository, sha: str | None = None, *, by: Builder = builder, log: Path | None = None
    ) -> Built:
        built = await by.build(repository.source, sha or repository.git("rev-parse", "HEAD"), log=log)
        made.append((by, built.image))
        return built

    yield build_commit
    for by, image in made:
        await by.forget([image])


@pytest.fixture
def sample(make_repository: Callable[[Files], LocalRepository]) -> Callable[..., LocalRepository]:
    """Make a repository of the files of `samples/builds/NAME`, and of others: `sample("uv", {"a.ipynb": "{}"})`."""

    def make(name: str, files: Files | None = None) -> LocalRepository:
        folder = _SAMPLES / name
        files_there = (path for path in folder.rglob("*") if path.is_file())
        found = {str(path.relative_to(folder)): with_hosts(path.read_text(encoding="utf-8")) for path in files_there}
        return make_repository({**found, **(files or {})})

    return make


@pytest.fixture
def works(paths: Paths, account: Account) -> Works:
    """Start a session of an image, as a visitor gets it, and return what its kernel makes of some code.

    The engine is the one that all share, or that of `folders`; `modules` run beside the notebook.
    """

    async def run(image: str, code: str, folders: Paths = paths, modules: Sequence[Bound] = ()) -> str:
        engine = PodmanEngine(folders, account, limits_for(read_cgroup_facts()))
        token = new_token()
        services = services_of(modules, token)
        spec = SessionSpec(new_session_id(), image, token, 512 * 2**20, cpus=1.0, pids=128, services=services)
        try:
            target = await engine.start(spec)
            async with proof_of(engine, spec, target, timeout_seconds=60):
                return await run_cell(server_of(spec.id, target, spec.token).url, spec.token, code)
        finally:
            await engine.stop(spec.id)

    return run
