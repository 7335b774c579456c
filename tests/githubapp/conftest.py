"""A workshop for each test that asks for one; every word said on the wire is held against GitHub's description."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from githubapp.sandbox.server import running_sandbox
from tests.githubapp.gate import Gate
from tests.githubapp.github_description import Recorder
from tests.githubapp.workshop import Workshop, running_workshop


@pytest.fixture
async def workshop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """The App installed on `ada/demo`, which has no commit yet."""
    data = tmp_path / "sandbox"
    data.mkdir()
    recorder, gate = Recorder(), Gate()
    async with (
        running_sandbox(data, wrap=lambda app: gate.wrap(recorder.wrap(app))) as sandbox,
        running_workshop(sandbox, gate, tmp_path) as running,
    ):
        yield running
    recorder.validate()
