"""The proof that a session works, on the real podman and the real Jupyter."""

from collections.abc import Callable
from time import monotonic

import pytest

from binder.errors import RepositoryFault
from deploy.jupyter import Client, usage_of
from deploy.podman import PodmanEngine
from deploy.probe import proof_of, run_cell, server_of, telling_lines
from tests.deploy.conftest import new_spec


@pytest.mark.slow
async def test_a_session_works_and_is_left_as_it_was(engine: PodmanEngine, jupyter_image: str) -> None:
    spec = new_spec(jupyter_image)
    target = await engine.start(spec)
    async with proof_of(engine, spec, target, timeout_seconds=60):
        # Read before a kernel ends: pyzmq may log a socket that was closed under it.
        log = await engine.log_of(spec.id)
    assert "rror" not in log
    assert "jupyterlab | extension was successfully loaded" in log
    url = server_of(spec.id, target, spec.token).url
    assert await run_cell(url, spec.token, "print('a'); 6 * 7") == "a\n42"
    with pytest.raises(RepositoryFault, match="ZeroDivisionError"):
        await run_cell(url, spec.token, "1 / 0")
    async with Client(server_of(spec.id, target, spec.token)) as client:
        assert await client.call("GET", "api/kernels") == []
        with pytest.raises(RepositoryFault, match="404"):  # what nothing in its page asks for is not loaded
            await client.call("GET", "lsp/status")
    used = await usage_of(client.server)
    assert used.at is not None
    assert await usage_of(client.server) == used  # asking is no use


@pytest.mark.slow
async def test_nobody_gets_in_without_the_token(engine: PodmanEngine, jupyter_image: str) -> None:
    spec = new_spec(jupyter_image)
    target = await engine.start(spec)
    async with proof_of(engine, spec, target, timeout_seconds=60):
        pass
    for token in ("", "wrong"):
        async with Client(server_of(spec.id, target, token)) as client:
            assert not await client.is_up()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("image", "timeout_seconds", "message"),
    [
        ("leaves", 30, "The notebook server ended with exit code 3. Its last lines: I am leaving"),
        ("waits", 3, "The notebook server did not come up within 3 s."),
        ("lies", 30, "The notebook server cannot start a kernel."),
        ("kernelless", 60, "The kernel ends as soon as it is started. Its last lines: No kernel today"),
    ],
)
async def test_a_session_that_does_not_work_says_why(
    engine: PodmanEngine, odd_images: Callable[[str], str], image: str, timeout_seconds: float, message: str
) -> None:
    spec = new_spec(odd_images(image))
    target = await engine.start(spec)
    began = monotonic()
    with pytest.raises(RepositoryFault) as raised:
        async with proof_of(engine, spec, target, timeout_seconds=timeout_seconds):
            pass
    assert raised.value.message.startswith(message)
    assert raised.value.place == "start"
    assert spec.token not in raised.value.message
    assert monotonic() - began < timeout_seconds + 5


def test_the_lines_that_tell_are_quoted() -> None:
    own = "[I 2026-01-01 00:00:00.000 ServerApp] It goes on\n"
    trace = "[E 2026-01-01 00:00:00.000 ServerApp] Oops\n    Traceback\n      File\n"
    theirs = "Traceback (most recent call last):\n  File x\nImportError: y\n"
    assert telling_lines("") == ""
    assert telling_lines(own) == own.strip()
    assert telling_lines(own + trace) == (own + trace).strip()
    assert telling_lines(own + theirs + trace + own) == theirs.strip()
    assert len(telling_lines("x" * 10_000)) < 1000
