"""Proves that a session works: its notebook server answers, and a kernel of it does.

Owns how long it waits and what it says where the proof fails; how one speaks with a server is `deploy.jupyter`'s.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

from binder.errors import BinderError, RepositoryFault
from deploy.engine import Engine, SessionSpec
from deploy.jupyter import Client, Server, ask_kernel, channels_of, compute, new_kernel
from deploy.manifests import base_path_of

_POLL_SECONDS = 0.02
# A server that comes up does so before the first look at what else there is: that would take its processor away.
_LOOK_SECONDS = 1.0
_LONGEST_QUOTE = 600
_JUPYTERS = re.compile(r"\[[A-Z] \d{4}-")


class Proof(Protocol):
    """Proves that a session works: its block is entered once it does."""

    def __call__(
        self, engine: Engine, spec: SessionSpec, target: str, *, timeout_seconds: float
    ) -> AbstractAsyncContextManager[None]:
        """Wait for the proof.

        Raises: BinderError, saying why it does not work.
        """


def server_of(spec_id: str, target: str, token: str) -> Server:
    """Return the notebook server of a session, as it is reached on this machine."""
    return Server.with_token(f"http://{target}{base_path_of(spec_id)}", token)


@asynccontextmanager
async def proof_of(engine: Engine, spec: SessionSpec, target: str, *, timeout_seconds: float) -> AsyncIterator[None]:
    """Run the block once a kernel of the session has answered; that kernel is ended after the block.

    Raises: RepositoryFault, with the last lines of the server's log.
    """
    server = server_of(spec.id, target, spec.token)
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(timeout_seconds):
                client = await stack.enter_async_context(Client(server))
                await wait_until_up(engine, spec.id, client)
                # Beside the start of the kernel, which is a process of its own, it costs nobody any time.
                stack.push_async_callback(asyncio.wait, {asyncio.create_task(client.warm_up())})
                await _ask_new_kernel(stack, client)
        except TimeoutError as error:
            sentence = f"The notebook server did not come up within {timeout_seconds:g} s."
            raise await fault_at_start(engine, spec, sentence) from error
        except BinderError as error:
            raise await fault_at_start(engine, spec, error.message) from error
        yield


async def _ask_new_kernel(stack: AsyncExitStack, client: Client) -> None:
    # Jupyter takes 0.2 s to end a kernel; who waits for the session need not wait for that.
    kernel_id = await stack.enter_async_context(new_kernel(client))
    answer = asyncio.create_task(_ask(client.server, kernel_id))
    loss = asyncio.create_task(_watch(client, kernel_id))
    try:
        await asyncio.wait({answer, loss}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        answer.cancel()
        loss.cancel()
        await asyncio.gather(answer, loss, return_exceptions=True)
    if not answer.cancelled():
        answer.result()
        return
    loss.result()


async def _ask(server: Server, kernel_id: str) -> None:
    async with channels_of(server, kernel_id) as socket:
        async for _ in ask_kernel(socket, "kernel_info_request", {}):
            pass


async def _watch(client: Client, kernel_id: str) -> None:
    """Wait until Jupyter has given a kernel up, which it tells nobody who waits for its answer.

    Raises: RepositoryFault, when it has.
    """
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            await client.call("GET", f"api/kernels/{kernel_id}")
        except RepositoryFault as error:
            raise RepositoryFault("The kernel ends as soon as it is started.") from error


async def wait_until_up(engine: Engine, session_id: str, client: Client) -> None:
    """Wait until a session's notebook server answers, for ever.

    Raises: RepositoryFault, where its container ends instead.
    """
    look_at = time.monotonic() + _LOOK_SECONDS
    while not await client.is_up():
        if time.monotonic() >= look_at:
            await _check_alive(engine, session_id)
            look_at = time.monotonic() + _LOOK_SECONDS
        await asyncio.sleep(_POLL_SECONDS)


async def _check_alive(engine: Engine, session_id: str) -> None:
    found = (await engine.running()).get(session_id)
    if found is None or not found.alive:
        raise RepositoryFault((found and found.reason) or "The container is gone.")


async def fault_at_start(engine: Engine, spec: SessionSpec, sentence: str) -> RepositoryFault:
    """Return a fault with the last lines of the server's log."""
    quote = telling_lines((await engine.log_of(spec.id)).replace(spec.token, "***"))
    return RepositoryFault(f"{sentence} Its last lines: {quote}" if quote else sentence, step="start")


def telling_lines(log: str) -> str:
    """Return the end of a server's log: of what others than Jupyter's own logger wrote, if there is any of it.

    A line that is indented belongs to the one before it, as those of a traceback do.
    """
    records: list[str] = []
    for line in log.splitlines():
        if records and line.startswith((" ", "\t", "}")):
            records[-1] += f"\n{line}"
        elif line not in records[-1:]:
            records.append(line)
    others = [record for record in records if record.strip() and not _JUPYTERS.match(record)]
    text = "\n".join(others or records).strip()
    return text if len(text) <= _LONGEST_QUOTE else "…" + text[-_LONGEST_QUOTE:]


async def run_cell(base_url: str, token: str, code: str, *, timeout_seconds: float = 60.0) -> str:
    """Run `code` in a new kernel of the session at `base_url`, straight or through the proxy, and return its output.

    Raises: RepositoryFault, where the code fails; WorldFault, where the kernel does not answer in time.
    """
    return await compute(Server.with_token(base_url, token), code, timeout_seconds=timeout_seconds)
