"""The GitHub side of the service as a process that can be killed: `python -m tests.githubapp.crash_service PORT`.

Takes its settings from the environment, as the service does, and its first act is to take up what its predecessor held.
"""

import asyncio
import contextlib
import socket
import sys

from starlette.applications import Starlette

from binder.loop import run_loop
from binder.settings import read_settings
from binder.store import open_store
from githubapp.client import GitHubClient
from githubapp.inbox import Inbox, webhook_route
from githubapp.previews import DeliveryWorker
from githubapp.reporter import Reporter
from tests.githubapp.workshop import serving

POLL_SECONDS = 0.05


async def run(port: int) -> None:
    """Run until killed; a line on standard output says that the door is open."""
    settings = read_settings()
    client = GitHubClient.from_settings(settings)
    with contextlib.closing(client), socket.create_server(("127.0.0.1", port)) as listener:
        async with (
            open_store(settings.store_url) as store,
            serving(Starlette(routes=[webhook_route(Inbox(store, settings))]), listener),
            asyncio.TaskGroup() as loops,
        ):
            await store.release_leases(of_all=True)
            for part in (DeliveryWorker(store, client, settings), Reporter(store, client, settings)):
                loops.create_task(run_loop(type(part).__name__, part.step, store.arrived, poll_seconds=POLL_SECONDS))
            print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1])))
