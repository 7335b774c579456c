"""The end of a proxy: it says so at once, and waits for those who are there."""

import asyncio

import httpx
import pytest

from binder.errors import OperatorFault
from proxy import draining
from proxy.context import ProxyContext
from proxy.draining import Draining, is_drained


@pytest.mark.parametrize(
    ("connections", "passed", "expected"),
    [(0, 4.9, False), (0, 5.0, True), (1, 5.0, False), (None, 5.0, False), (1, 59.9, False), (1, 60.0, True)],
)
def test_it_waits_until_all_have_left_but_not_for_ever(connections: int | None, passed: float, expected: bool) -> None:
    assert is_drained(connections, passed, 60.0) is expected


class FakeConnections:
    """Visitors' connections, of which some cannot be counted."""

    def __init__(self, *numbers: int | None) -> None:
        self._numbers = list(numbers)

    async def open_connections(self) -> int:
        """Return how many are open."""
        number = self._numbers.pop(0)
        if number is None:
            raise OperatorFault("HAProxy does not answer on its runtime socket.")
        return number


async def test_health_says_at_once_that_nobody_more_should_come(
    visitor: httpx.AsyncClient, context: ProxyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "_HEARD_SECONDS", 0.0)
    monkeypatch.setattr(draining, "_LOOK_SECONDS", 0.05)
    assert (await visitor.get("/health")).status_code == 200
    ending = asyncio.create_task(context.draining.drain(FakeConnections(2, None, 1, 0), seconds=60))
    await asyncio.sleep(0)
    answer = await visitor.get("/health")
    assert (answer.status_code, answer.json()["checks"][-1]) == (503, {"service": "draining", "ok": False})
    assert (await visitor.get("/alive")).status_code == 200
    async with asyncio.timeout(5):
        await ending


async def test_without_a_time_for_it_nobody_is_waited_for() -> None:
    end = Draining()
    await end.drain(FakeConnections(), seconds=0)
    await end.check()
