"""A service that the action asks, on a port of its own, and a runner for the action's steps."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from tests.action.runner import Runner, running_runner
from tests.proxy.conftest import made_folder
from tests.proxy.jobs import JobStage, running_job_stage
from tests.proxy.upstreams import running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the test's own."""
    with made_folder() as path:
        yield path


@pytest.fixture
def heard() -> list[str]:
    """All that the service was sent of headers and addresses."""
    return []


@pytest.fixture
async def stage(folder: Path, heard: list[str]) -> AsyncIterator[JobStage]:
    """A service that builds nothing by itself, and listens."""
    async with running_job_stage(folder) as stage:

        async def listening(scope: Scope, receive: Receive, send: Send) -> None:
            heard.append(f"{scope['method']} {scope['path']} {scope['query_string']!r} {scope['headers']!r}")
            await stage.application(scope, receive, send)

        port = urlsplit(stage.settings.url).port or 0
        config = uvicorn.Config(listening, port=port, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        async with running(uvicorn.Server(config)):
            yield stage


@pytest.fixture
async def runner(stage: JobStage, folder: Path) -> AsyncIterator[Runner]:
    """A runner whose jobs ask that service."""
    async with running_runner(stage.sandbox, folder, stage.settings.url) as runner:
        yield runner
