"""The shape of every loop: nothing is missed, and nothing ends it but its owner."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from time import monotonic

import pytest
from structlog.testing import capture_logs

from binder.loop import Hint, rest_after, run_loop, wait_for_hint

_LONG = 60.0


@asynccontextmanager
async def _running(
    step: Callable[[], Awaitable[bool]], hint: Hint, poll_seconds: float = _LONG, *, always_rests: bool = False
) -> AsyncIterator[None]:
    loop = run_loop("test", step, hint, poll_seconds=poll_seconds, always_rests=always_rests)
    task = asyncio.create_task(loop)
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)


async def test_a_loop_looks_at_once_and_then_at_each_hint() -> None:
    looks = 0

    async def step() -> bool:
        nonlocal looks
        looks += 1
        return False

    hint = Hint()
    async with _running(step, hint):
        for expected in (1, 2, 3):
            await _settled()
            assert looks == expected
            hint.give()


async def test_a_loop_looks_again_while_it_is_busy() -> None:
    left = 5

    async def step() -> bool:
        nonlocal left
        await asyncio.sleep(0)
        left -= 1
        return left > 0

    async with _running(step, Hint()):
        await _settled()
        assert left == 0


async def test_a_hint_that_comes_while_a_loop_works_is_not_lost() -> None:
    looks = 0
    hint = Hint()

    async def step() -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            hint.give()
        await asyncio.sleep(0)
        return False

    async with _running(step, hint):
        await _settled()
        assert looks == 2


@pytest.mark.parametrize(("busy", "always_rests"), [(False, False), (True, True)])
async def test_a_look_that_takes_long_is_followed_by_a_rest(busy: bool, always_rests: bool) -> None:
    took = 0.02
    began: list[float] = []
    enough = asyncio.Event()
    hint = Hint()

    async def step() -> bool:
        began.append(monotonic())
        hint.give()
        await asyncio.sleep(took)
        if len(began) == 3:
            enough.set()
        return busy

    async with _running(step, hint, always_rests=always_rests):
        await asyncio.wait_for(enough.wait(), 5)
    assert all(later - before >= 4 * took for before, later in pairwise(began))


def test_a_rest_is_bounded() -> None:
    assert (rest_after(0.5), rest_after(60)) == (1.5, 5.0)


async def test_without_a_hint_a_loop_looks_after_a_while() -> None:
    looked = asyncio.Event()
    looks = 0

    async def step() -> bool:
        nonlocal looks
        looks += 1
        if looks == 2:
            looked.set()
        return False

    async with _running(step, Hint(), poll_seconds=0.05):
        await asyncio.wait_for(looked.wait(), 5)


async def test_a_step_that_fails_is_tried_again() -> None:
    tried: list[float] = []
    worked = asyncio.Event()

    async def step() -> bool:
        tried.append(monotonic())
        if len(tried) == 1:
            raise ZeroDivisionError
        worked.set()
        return False

    with capture_logs() as logs:
        async with _running(step, Hint()):
            await asyncio.wait_for(worked.wait(), 5)
    assert 0.4 < tried[1] - tried[0] < 3
    assert [entry["event"] for entry in logs] == ["loop_step_failed"]


async def test_a_hint_wakes_all_who_wait_and_none_who_went() -> None:
    hint = Hint()
    one, other, gone = hint.subscribe(), hint.subscribe(), hint.subscribe()
    hint.unsubscribe(gone)
    hint.give()
    assert (one.is_set(), other.is_set(), gone.is_set()) == (True, True, False)


async def test_waiting_has_a_limit() -> None:
    began = monotonic()
    await wait_for_hint(asyncio.Event(), 0.05)
    assert monotonic() - began < 5
