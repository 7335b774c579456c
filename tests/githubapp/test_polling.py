"""Looks are made when they are due, and after a failure not before GitHub asks for it."""

from datetime import UTC, datetime, timedelta

import pytest

from githubapp import polling
from githubapp.faults import GitHubUnavailableError
from githubapp.polling import Polled


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(polling, "utc_now", clock)
    return clock


class Looks:
    """Counts the looks; each fails with the next of `failures`."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.count = 0

    async def look(self) -> None:
        self.count += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure:
            raise failure


async def counts(polled: Polled, looks: Looks, clock: Clock, *seconds: float) -> list[int]:
    """Step once, and once after each of these times; return the looks made until then."""
    assert await polled.step() is False
    made = [looks.count]
    for pause in seconds:
        clock.move(pause)
        await polled.step()
        made.append(looks.count)
    return made


async def test_it_looks_at_once_and_then_every_so_often(clock: Clock) -> None:
    looks = Looks()
    polled = Polled("test", looks.look, every_seconds=5)
    assert await counts(polled, looks, clock, 0, 4.9, 0.2, 5) == [1, 1, 1, 2, 3]


async def test_after_failures_it_waits_longer_each_time(clock: Clock) -> None:
    down = GitHubUnavailableError("down")
    looks = Looks(down, down, down, None)
    polled = Polled("test", looks.look, every_seconds=1)
    assert await counts(polled, looks, clock, 1, 1, 2, 2, 8, 1, 1) == [1, 1, 2, 2, 3, 4, 5, 6]


async def test_it_waits_as_long_as_github_asks(clock: Clock) -> None:
    looks = Looks(GitHubUnavailableError("limit", retry_after_seconds=3000, limited=True))
    polled = Polled("test", looks.look, every_seconds=5)
    assert await counts(polled, looks, clock, 2999, 1) == [1, 1, 2]


async def test_a_fault_of_ours_is_not_hidden(clock: Clock) -> None:
    looks = Looks(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await Polled("test", looks.look, every_seconds=5).step()
