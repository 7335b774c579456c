"""What the tests of several packages share: folders, an engine, repositories and a store, all of them real.

The cache folder is the service's own (`BINDER_CACHE_DIR`, or its default), so that the base image and the environments
that the demo or an earlier run made are used again. All else is new for each run and gone after it.
"""

import asyncio
import fcntl
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from binder.containers import prepare_engine
from binder.paths import Paths
from binder.process import Account, find_account
from binder.settings import read_settings
from binder.store import Store, open_store
from build.host import find_host_settings, write_host_folder
from tests.builds import Builder, new_builder
from tests.postgresql import PostgreSQL, running_postgresql, store_address
from tests.repositories import Files, LocalRepository, new_repository

if TYPE_CHECKING:
    from tests.cluster.given import Cluster

# How long an example takes depends on what else this machine does.
hypothesis.settings.register_profile("binder", deadline=None)
hypothesis.settings.load_profile("binder")

NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "sum",
            "metadata": {},
            "outputs": [],
            "source": ["print(6 * 7)"],
        }
    ],
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
"""The notebook in `jupyter_image`, as `notebook.ipynb`; it prints 42."""


@pytest.fixture(scope="session")
def account() -> Account:
    """The account that runs git, Buildah and podman."""
    return find_account(read_settings().build_account)


@pytest.fixture(scope="session")
def reachable_root() -> Iterator[Path]:
    """A folder that the build account can get through; pytest's own folders are closed to it."""
    root = Path(tempfile.mkdtemp(prefix="binder-tests-"))
    root.chmod(0o711)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def reachable_path(reachable_root: Path) -> Path:
    """An empty folder for this test, like `tmp_path`, that the build account can get through."""
    path = Path(tempfile.mkdtemp(dir=reachable_root))
    path.chmod(0o711)
    return path


@pytest.fixture(scope="session")
def engine_paths(reachable_root: Path, account: Account) -> Iterator[Paths]:
    """The folders of an engine that is ready: a state folder for this run, and the machine's own cache folder.

    A test that wants a state of its own takes `paths`.
    """
    paths = Paths(reachable_root / "state", read_settings().cache_dir)
    paths.make(account)
    with _in_use(paths.cache):
        asyncio.run(_prepare(paths, account))
        yield paths


async def _prepare(paths: Paths, account: Account) -> None:
    await prepare_engine(paths, account)
    write_host_folder(await find_host_settings(), paths)


@contextmanager
def _in_use(cache: Path) -> Iterator[None]:
    """Keep services that start meanwhile from removing our containers as leftovers."""
    descriptor = os.open(cache / "in-use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@pytest.fixture
def paths(engine_paths: Paths, reachable_path: Path, account: Account) -> Paths:
    """Folders of which the state is this test's own."""
    paths = Paths(reachable_path / "state", engine_paths.cache)
    paths.make(account)
    return paths


@pytest.fixture(scope="session")
def builder(engine_paths: Paths, account: Account) -> Builder:
    """The real builder: `await builder.build(repository.source, sha)`."""
    return asyncio.run(new_builder(engine_paths, account))


@pytest.fixture
def make_repository(reachable_path: Path, account: Account) -> Callable[[Files], LocalRepository]:
    """Make real git repositories, each of one commit: `make_repository({"a.ipynb": "{}"})`."""
    numbers = itertools.count()

    def make(files: Files) -> LocalRepository:
        repository = new_repository(reachable_path / f"repository-{next(numbers)}", account)
        repository.commit(files)
        return repository

    return make


@pytest.fixture(scope="session")
def jupyter_image(builder: Builder, reachable_root: Path, account: Account) -> str:
    """The name of a real image: a repository of one small notebook, on the environment that asks for nothing more."""
    repository = new_repository(reachable_root / "jupyter", account)
    sha = repository.commit({"notebook.ipynb": json.dumps(NOTEBOOK)})
    return asyncio.run(builder.build(repository.source, sha)).image


@pytest.fixture(scope="session")
def cluster() -> "Iterator[Cluster]":
    """A real Kubernetes cluster."""
    from tests.cluster.given import given_cluster  # noqa: PLC0415 - Kubernetes' client takes half a second

    with given_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A real PostgreSQL of this process's own."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of its own: each test goes with SQLite and with PostgreSQL."""
    return store_address(request.param, request, tmp_path)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store of its own, its schema up to date."""
    async with open_store(store_url) as store:
        yield store
