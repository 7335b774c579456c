"""`binder demo`: the main job on this machine, with the stand-in for GitHub in place of the real one.

The stand-in runs in this process, the service in one of its own, as it would for an operator; a person's part is played
with the real git (`binder.cli.story`). All that was started is stopped and removed at the end; images and packages stay
for the next time.
"""

import asyncio
import contextlib
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from binder.cli.child import running_child
from binder.cli.registration import register
from binder.cli.steps import Steps, until_interrupted
from binder.cli.story import PERSON, tell_story
from binder.errors import OperatorFault
from binder.process import find_account
from binder.service.machine import check_machine, needs_of
from binder.settings import read_settings
from githubapp.sandbox.sandbox import Sandbox
from githubapp.sandbox.server import running_sandbox

_LOCALHOST = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """Where a demo keeps its things, and the ports that it listens on."""

    home: Path
    cache: Path
    account: str
    port: int
    github_port: int

    @property
    def url(self) -> str:
        """Where the service is reached."""
        return f"http://{_LOCALHOST}:{self.port}"


def run_demo(*, once: bool, port: int, github_port: int) -> None:
    """Run the demo; it ends at Ctrl-C, or by itself with `once`.

    Raises: BinderError.
    """
    settings = read_settings()
    check_machine(find_account(settings.build_account), settings, needs_of("all", "podman"))
    place = Place(
        settings.state_dir / "demo",
        settings.cache_dir,
        settings.build_account,
        take_port(port, "--port"),
        take_port(github_port, "--github-port"),
    )
    asyncio.run(_demo(place, once=once))


def take_port(port: int, option: str) -> int:
    """Return the port, if nobody listens there; for 0, one where nobody does.

    Raises: OperatorFault, naming the option that chooses another one.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOCALHOST, port))
        except OSError as error:
            raise OperatorFault(
                f"Port {port} is taken. Stop what listens there, or choose another one with {option}."
            ) from error
        return int(probe.getsockname()[1])


async def _demo(place: Place, *, once: bool) -> None:
    steps = Steps(Console(file=sys.stdout))
    await until_interrupted(_main_job(place, steps, once=once), steps)
    steps.note("All that the demo started is stopped and removed. Images stay for the next time.")


async def _main_job(place: Place, steps: Steps, *, once: bool) -> None:
    async with (
        _folder(place.home),
        running_sandbox(place.home / "github", port=place.github_port) as sandbox,
        _service(place, sandbox, steps),
    ):
        story = await tell_story(sandbox, place.home, place.url, steps)
        steps.table()
        if not once:
            steps.invite("Open these in a browser; Ctrl-C stops it all", story)
            await asyncio.Event().wait()


@asynccontextmanager
async def _folder(home: Path) -> AsyncIterator[None]:
    """Give an empty folder, gone after the block."""
    await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
    (home / "github").mkdir(parents=True)
    home.chmod(0o711)
    try:
        yield
    finally:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


@asynccontextmanager
async def _service(place: Place, sandbox: Sandbox, steps: Steps) -> AsyncIterator[None]:
    """Run the service, registered as an App with the stand-in."""
    environment = await register(
        sandbox, owner=PERSON, port=place.port, home=place.home, cache=place.cache, account=place.account
    )
    async with contextlib.AsyncExitStack() as stack:
        async with steps.step("The service and the stand-in for GitHub start"):
            child = running_child(place.url, environment, place.home / "service.log")
            await stack.enter_async_context(child)
        yield
