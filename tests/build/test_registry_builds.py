"""Builds of several workers that share a registry and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from binder.names import new_session_id, new_token
from binder.process import Account
from binder.service.builder import wired_builder
from binder.settings import read_settings
from build.cluster.absent import AbsentBuildah, BuilderNeededError
from build.pipeline import Built
from build.plan import Layer
from modules.beginning import new_module
from modules.bound import as_json, images_of
from tests.build.machines import new_machine, remove_machine, said_by_buildah, the_base
from tests.build.registry_servers import PASSWORD, USERNAME, RunningRegistry, running_registry
from tests.builds import Builder
from tests.repositories import LocalRepository, Script, new_repository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Shared:
    """A registry, and the worker that filled it."""

    registry: RunningRegistry
    settings: dict[str, Any]
    first: Builder
    repository: LocalRepository
    built: Built
    log: str
    folder: Path
    like: Builder

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Builder]:
        """Give a worker that has nothing, while the block runs."""
        worker = await new_machine(self.folder / new_session_id(), self.like, shares_packages=False, **self.settings)
        try:
            yield worker
        finally:
            await remove_machine(worker)


def environment_of(built: Built) -> Layer:
    return next(one.layer for one in built.layers if one.layer.kind == "environment")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(builder: Builder, jupyter_image: str, reachable_root: Path, account: Account) -> AsyncIterator[Shared]:
    """Let a first worker build the environment that everybody has, and push it."""
    folder = reachable_root / "registry"
    folder.mkdir()
    folder.chmod(0o711)
    with running_registry(folder, password=True, tls=True) as registry:
        settings: dict[str, Any] = {
            "registry": f"{registry.host}/test/binder",
            "registry_username": USERNAME,
            "registry_password": PASSWORD,
            "registry_certificates": registry.certificates,
        }
        first = await new_machine(folder / "first", builder, has=[the_base()], **settings)
        await _push_base(first, settings["registry"])
        repository = new_repository(folder / "repository", account)
        sha = repository.commit({"a.ipynb": "{}", "old.txt": "x"})
        log = folder / "log"
        built = await first.build(repository.source, sha, log=log)
        yield Shared(registry, settings, first, repository, built, log.read_text(), folder, builder)
        await remove_machine(first)


async def _push_base(worker: Builder, repository: str) -> None:
    name = f"{repository}:{the_base().tag}"
    await said_by_buildah(worker, "tag", f"localhost/binder:{the_base().tag}", name)
    await worker.buildah.push(name)


async def test_a_first_worker_fills_the_registry(shared: Shared) -> None:
    built = shared.built
    assert (built.way, [one.layer.kind for one in built.layers if one.reused]) == ("full", ["base"])
    assert built.image == f"{shared.settings['registry']}:{built.layers[-1].layer.tag}"
    tags = {
        path.rpartition("/")[2]
        for method, path, status in shared.registry.requests()
        if (method, status) == ("PUT", 201)
    }
    assert {one.layer.tag for one in built.layers} <= tags
    assert {f"record-{environment_of(built).tag}"} <= tags
    assert len([tag for tag in tags if tag.startswith("lock-")]) == 1
    assert PASSWORD not in shared.log


async def test_a_worker_with_nothing_lays_content_without_any_image(shared: Shared) -> None:
    sha = shared.repository.commit({"a.ipynb": new_token(), "old.txt": None})
    before = len(shared.registry.requests())
    async with shared.worker() as worker:
        built = await worker.build(shared.repository.source, sha)
        assert (built.way, environment_of(built)) == ("content", environment_of(shared.built))
        assert await worker.buildah.images() == {}
        assert [path.name for path in worker.paths.locks.glob("lock-*")], "the lock was found, not resolved"
        assert not list((worker.paths.packages / "wheels").iterdir()), "nothing was downloaded"
        assert built.packages == shared.built.packages
        asked = shared.registry.requests()[before:]
        layers = [path for method, path, _ in asked if method == "GET" and "/blobs/" in path]
        assert len(layers) <= 4, "small documents, and no layer"
        # And it is an image that can be used.
        await worker.buildah.pull(built.image)
        script = "ls; python -c 'import jupyterlab'; jupyter-lab --version | cut -c 1-2"
        assert await worker.inside(built.image, script) == ["a.ipynb", "4."]
        await _run_on_files(shared, worker)


async def _run_on_files(shared: Shared, worker: Builder) -> None:
    """Here Buildah is needed: what lies below is pulled, and the layer is pushed."""
    repository = new_repository(shared.folder / "run", shared.repository.account)
    sha = repository.commit({"postBuild": Script("#!/bin/sh\necho made >made.txt\n")})
    built = await worker.build(repository.source, sha)
    assert built.way == "content"
    assert await worker.inside(built.image, "cat made.txt") == ["made"]
    assert ("PUT", 201) in shared.registry.methods(f"/manifests/{built.layers[-1].layer.tag}")


async def test_who_has_no_buildah_lays_content_and_makes_nothing_else(shared: Shared) -> None:
    sha = shared.repository.commit({"a.ipynb": new_token()})
    async with shared.worker() as worker:
        settings = read_settings(**shared.settings)
        wired = wired_builder(settings, worker.paths, worker.account, worker.host, buildah=AbsentBuildah)
        absent = Builder(wired)
        try:
            built = await absent.build(shared.repository.source, sha)
            assert built.way == "content"
            assert (await absent.build(shared.repository.source, sha)).way == "nothing"
            other = new_repository(shared.folder / "other", shared.repository.account)
            before = len(shared.registry.requests())
            for files in ({"requirements.txt": "six==1.16.0\n"}, {"Dockerfile": "FROM registry.example/a:1\n"}):
                with pytest.raises(BuilderNeededError):
                    await absent.build(other.source, other.commit({"requirements.txt": None, **files}))
            assert {method for method, _, _ in shared.registry.requests()[before:]} <= {"GET", "HEAD"}
        finally:
            await wired.close()


async def test_the_images_of_modules_are_everybodys(shared: Shared) -> None:
    """Who has no Buildah hands the build on before anything is made; once they are there, it lays the files alone."""
    module = {f"binder/modules/box/1/{path}": data for path, data in new_module("box", "1").items()}
    repository = new_repository(shared.folder / "module", shared.repository.account)
    sha = repository.commit({"binder.yml": "modules: [box]", "a.ipynb": "{}", **module})
    async with shared.worker() as worker:
        settings = read_settings(**shared.settings)
        wired = wired_builder(settings, worker.paths, worker.account, worker.host, buildah=AbsentBuildah)
        try:
            with pytest.raises(BuilderNeededError):
                await Builder(wired).build(repository.source, sha)
            built = await shared.first.build(repository.source, sha)
            (image,) = images_of(as_json(built.modules))
            assert ("PUT", 201) in shared.registry.methods(f"/manifests/{image.rpartition(':')[2]}")
            again = await Builder(wired).build(repository.source, repository.commit({"a.ipynb": new_token()}))
            assert (again.way, again.modules) == ("content", built.modules)
            await worker.buildah.pull(image)
            assert await worker.inside(image, "id -u; command -v server") == ["1000", "/usr/local/bin/server"]
        finally:
            await wired.close()


async def test_what_was_built_once_is_nothing_to_do_anywhere(shared: Shared) -> None:
    async with shared.worker() as worker:
        built = await worker.build(
            shared.repository.source, shared.repository.git("rev-list", "--max-parents=0", "HEAD")
        )
        assert (built.way, built.digest) == ("nothing", shared.built.digest)
