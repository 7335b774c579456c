"""The stage on a cluster, one for all tests that leave it as it was; and the browser in front of it."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser import running_browser
from tests.cluster.given import Cluster
from tests.cluster.stage import ClusterStage, running_cluster_stage


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def stage(cluster: Cluster, reachable_root: Path) -> AsyncIterator[ClusterStage]:
    """A release of the chart, that is the App of a repository with nothing in it."""
    home = Path(tempfile.mkdtemp(dir=reachable_root, prefix="cluster-stage-"))
    home.chmod(0o711)
    async with running_cluster_stage(cluster, home) as stage:
        yield stage


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, without a window."""
    async with running_browser() as browser:
        yield browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that halt a part of the cluster come last: it takes a while to find back to itself."""
    items.sort(key=lambda item: item.get_closest_marker("halts") is not None)
