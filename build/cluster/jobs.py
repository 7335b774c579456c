"""Runs builds as Jobs: each from its order to what it made, and nothing of it is left.

The Job of a build has always the same name: whoever takes a build up again replaces what an earlier attempt, or a
service that died, left running. A Job that nobody waits for ends by its deadline, and is removed after that by itself.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from time import monotonic

from aiohttp import ClientError, ClientResponse

from binder.cluster import FOUND
from binder.errors import BinderError, WorldFault
from binder.log import logger
from build.cluster.api import QUIET_SECONDS, BuildsApi
from build.cluster.lines import Event, Failed, Lines, Lives, Made, Said, fault_of
from build.cluster.manifests import Builders
from build.cluster.order import Order
from build.cluster.pods import PATIENCE_SECONDS, Look, impatience, too_long
from build.pipeline import Built

log = logger(__name__)

Heard = Callable[[Event], Awaitable[None]]
"""Is told each event of a build once, in their order."""

_SILENCE_SECONDS = 3 * QUIET_SECONDS
_POLL_SECONDS = 0.5
_SLACK_SECONDS = 60.0


class BuildJobs:
    """Runs builds, as `builders`."""

    def __init__(self, api: BuildsApi, builders: Builders) -> None:
        self._api = api
        self._builders = builders

    async def run(self, order: Order, heard: Heard) -> Built:
        """Have a build run to its end, and return what it made; nothing of it is left, however this ends.

        Raises: BinderError.
        """
        limit = asyncio.timeout(self._builders.seconds + _SLACK_SECONDS)
        try:
            async with limit, self._job(order) as uid:
                return await self._made(order, uid, heard)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise too_long(self._builders) from error

    @asynccontextmanager
    async def _job(self, order: Order) -> AsyncIterator[str]:
        """See that the Job of a build runs in the block, and is gone after it; gives its uid."""
        # Whoever is stopped while it is made must know it, to end it.
        making = asyncio.create_task(self._api.make_job(order))
        try:
            uid = await _finished(making)
            await self._api.make_secret(order, uid)
            yield uid
        finally:
            if making.done() and not making.exception():
                await _finished(asyncio.create_task(self._end(order, making.result())))

    async def _end(self, order: Order, uid: str) -> None:
        try:
            await self._api.end(order, uid)
        except BinderError as error:
            # It has a deadline, and is removed after it.
            log.warning("build_job_not_removed", job=order.name, reason=error.message)

    async def _made(self, order: Order, uid: str, heard: Heard) -> Built:
        """Tell what a build's pod says until it said how the build ended.

        Raises: BinderError.
        """
        lines, waiting, silence = Lines(order.mark), _Waiting(self._builders), _Silence()
        while True:
            look = await self._seen(order.name, uid, silence)
            if look and look.stage in PATIENCE_SECONDS:
                silence.is_broken()
                if news := waiting.news_of(look):
                    await heard(Said(news))
            elif look:
                if built := await self._heard_out(look, lines, heard, silence):
                    return built
                if look.fault:
                    log.warning("builder_ended", job=order.name, reason=look.fault.message, said=lines.strange)
                    raise look.fault
                silence.check(WorldFault("The builder has not said anything for a while: its node may be lost."))
            await asyncio.sleep(_POLL_SECONDS)

    async def _seen(self, name: str, uid: str, silence: "_Silence") -> Look | None:
        """Return what is seen of a build; None, where the API server does not answer for now.

        Raises: OperatorFault; WorldFault.
        """
        try:
            return await self._api.look(name, uid)
        except WorldFault as error:
            silence.check(error)
            return None

    async def _heard_out(self, look: Look, lines: Lines, heard: Heard, silence: "_Silence") -> Built | None:
        """Tell what is new in the log of a pod; return what it made, or None where it does not say so.

        Raises: BinderError, where it says that the build failed.
        """
        async with aclosing(self._events(look, lines)) as events:
            async for event in events:
                if event is None:
                    if silence.lasts(QUIET_SECONDS):
                        return None
                    continue
                silence.is_broken()
                match event:
                    case Made(built):
                        return built
                    case Failed():
                        raise fault_of(event)
                    case Lives():
                        pass
                    case _:
                        await heard(event)
        return None

    async def _events(self, look: Look, lines: Lines) -> AsyncGenerator[Event | None]:
        """Give the events of a pod's log that are new, until it ends, breaks off, or nothing comes for a while.

        None: something came that was no event.
        """
        if look.pod is None:
            return
        lines.begin()
        answer: ClientResponse | None = None
        try:
            answer = await self._api.log_of(look.pod)
            if answer.status != FOUND:
                return
            async for piece in answer.content.iter_any():
                for event in lines.take(piece) or (None,):
                    yield event
        except (ClientError, TimeoutError, OSError):
            pass  # the connection, or the node: it is looked at again
        finally:
            if answer is not None:
                answer.close()


async def _finished(task: "asyncio.Task[str] | asyncio.Task[None]") -> str:
    """Wait for a task, which goes on to its end also where we are stopped meanwhile; then we are after it."""
    try:
        return await asyncio.shield(task) or ""
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


class _Silence:
    """Knows how long nothing was heard of a build."""

    def __init__(self) -> None:
        self._since = monotonic()

    def is_broken(self) -> None:
        """Take note that something was heard."""
        self._since = monotonic()

    def lasts(self, seconds: float) -> bool:
        """Whether it has lasted for longer."""
        return monotonic() - self._since > seconds

    def check(self, fault: WorldFault) -> None:
        """Raise a fault, where it has lasted for too long."""
        if self.lasts(_SILENCE_SECONDS):
            raise fault


class _Waiting:
    """Knows how long a build waits, and for what."""

    def __init__(self, builders: Builders) -> None:
        self._builders = builders
        self._stage = ""
        self._since = monotonic()
        self._said = ""

    def news_of(self, look: Look) -> str:
        """Return what is new to be said.

        Raises: OperatorFault, where it has waited for too long.
        """
        if look.stage != self._stage:
            self._stage, self._since = look.stage, monotonic()
        if monotonic() - self._since > PATIENCE_SECONDS[look.stage]:
            raise impatience(look, self._builders)
        if not look.waits or look.waits == self._said:
            return ""
        self._said = look.waits
        return f"The builder waits: {look.waits}"
