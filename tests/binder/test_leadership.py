"""Who leads: never two at once, and soon another one where the first is gone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from binder import leadership
from binder.errors import WorldFault
from binder.leadership import Leadership, Lease, Seen, decide_leadership, has_lost, seen_again

LEASE = Lease("one", 15.0, 3, "7")


@pytest.mark.parametrize(
    ("seen", "now", "decision"),
    [
        (None, 0.0, "take"),
        (Seen(LEASE, 100.0), 100.0, "wait"),
        (Seen(LEASE, 100.0), 114.9, "wait"),
        (Seen(LEASE, 100.0), 115.0, "take"),
        (Seen(replace(LEASE, holder=""), 100.0), 100.0, "take"),
        (Seen(replace(LEASE, holder="me"), 100.0), 100.0, "take"),
    ],
)
def test_a_lease_is_taken_that_is_nobodys_or_has_not_changed(seen: Seen | None, now: float, decision: str) -> None:
    assert decide_leadership(seen, now, "me") == decision


def test_only_a_change_begins_the_time_anew() -> None:
    first = seen_again(None, LEASE, 100.0)
    assert first == Seen(LEASE, 100.0)
    assert seen_again(first, replace(LEASE), 109.0) == first
    renewed = replace(LEASE, version="8")
    assert seen_again(first, renewed, 110.0) == Seen(renewed, 110.0)
    assert seen_again(first, None, 110.0) is None


def test_a_leader_gives_up_long_before_another_one_may_begin() -> None:
    assert not has_lost(100.0, 109.9)
    assert has_lost(100.0, 110.0)
    assert leadership.GIVE_UP_SECONDS < leadership.LEASE_SECONDS - 2


@dataclass
class FakeRecord:
    """A Lease in memory, of which each process has a view of its own, so that one can be cut off."""

    leases: list[Lease] = field(default_factory=list)

    def view(self) -> "FakeView":
        """Return what one process sees."""
        return FakeView(self)


class FakeView:
    """A `LeaseRecord`."""

    def __init__(self, record: FakeRecord) -> None:
        self._record = record
        self.is_cut_off = False
        self.loses_answers = False

    async def read(self) -> Lease | None:
        """Return the Lease."""
        await self._reach()
        return self._record.leases[-1] if self._record.leases else None

    async def write(self, holder: str, over: Lease | None) -> Lease | None:
        """Write over what was read."""
        await self._reach()
        leases = self._record.leases
        if (leases[-1] if leases else None) != over:
            return None
        leases.append(Lease(holder, leadership.LEASE_SECONDS, len(leases), str(len(leases))))
        if self.loses_answers:
            raise WorldFault("The cluster's API server does not answer.")
        return leases[-1]

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.is_cut_off:
            raise WorldFault("The cluster's API server does not answer.")


class FakeDeadline:
    """A `Deadline` that ends nothing, and tells whether it is over."""

    def __init__(self) -> None:
        self._at: float | None = None

    def arm(self, deadline: float) -> None:
        """Set the time."""
        self._at = deadline

    def disarm(self) -> None:
        """Set none."""
        self._at = None

    @property
    def is_over(self) -> bool:
        """Whether the process would be ended."""
        return self._at is not None and leadership.boot_time() >= self._at


class Stage:
    """Processes that lead in turn; `at_work` are those that do at this moment."""

    def __init__(self) -> None:
        self.record = FakeRecord()
        self.views: dict[str, FakeView] = {}
        self.deadlines: dict[str, FakeDeadline] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.at_work: list[str] = []
        self.terms: list[str] = []
        self.stop_seconds = 0.0
        self.moved = asyncio.Condition()

    def begin(self, name: str) -> None:
        """Start a process."""
        self.views[name] = self.record.view()
        self.deadlines[name] = FakeDeadline()
        lead = Leadership(self.views[name], name, self.deadlines[name]).lead(self._work_of(name))
        self.tasks[name] = asyncio.create_task(lead)

    def _work_of(self, name: str) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            alive = [one for one in self.at_work if not self.deadlines[one].is_over]
            assert not alive, f"{name} begins while {alive} is at work"
            self.at_work.append(name)
            self.terms.append(name)
            await self._tell()
            try:
                await asyncio.Event().wait()
            finally:
                try:
                    await asyncio.sleep(self.stop_seconds)
                finally:
                    self.at_work.remove(name)
                    await self._tell()

        return work

    async def _tell(self) -> None:
        async with self.moved:
            self.moved.notify_all()

    async def end(self, name: str) -> None:
        """Stop a process as an operator would."""
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks[name], return_exceptions=True)

    async def until_at_work(self, *names: str) -> None:
        """Wait until one of them is at work; of none, until nobody is."""
        async with asyncio.timeout(10), self.moved:
            await self.moved.wait_for(lambda: set(self.at_work) & set(names) if names else not self.at_work)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A stage on which time goes a few times as fast; a busy machine must not be taken for one that is cut off."""
    monkeypatch.setattr(leadership, "LEASE_SECONDS", 3.0)
    monkeypatch.setattr(leadership, "GIVE_UP_SECONDS", 1.5)
    monkeypatch.setattr(leadership, "_RENEW_SECONDS", 0.04)
    monkeypatch.setattr(leadership, "_LEAST_SPARE_SECONDS", 0.3)
    stage = Stage()
    yield stage
    for name in stage.tasks:
        await stage.end(name)
    assert stage.at_work == []


@asynccontextmanager
async def leading(stage: Stage, *names: str) -> AsyncIterator[str]:
    """Start processes, and give the name of the one that leads."""
    for name in names:
        stage.begin(name)
    await stage.until_at_work(*names)
    yield stage.at_work[0]


async def test_one_leads_and_the_others_wait(stage: Stage) -> None:
    async with leading(stage, "a", "b", "c"):
        await asyncio.sleep(1.3 * leadership.LEASE_SECONDS)
        assert len(stage.terms) == 1


async def test_who_stops_leaves_it_to_the_next_at_once_but_not_before_he_has_stopped(stage: Stage) -> None:
    stage.stop_seconds = 1.3 * leadership.LEASE_SECONDS  # it goes on being renewed meanwhile
    async with leading(stage, "a", "b") as first:
        await stage.end(first)
        assert stage.record.leases[-1].holder != first
        await stage.until_at_work(*{"a", "b"} - {first})


async def test_who_is_cut_off_stops_by_himself_and_then_another_one_leads(stage: Stage) -> None:
    async with leading(stage, "a", "b") as first:
        stage.views[first].is_cut_off = True
        (other,) = {"a", "b"} - {first}
        await stage.until_at_work(other)
        stage.views[first].is_cut_off = False
        await asyncio.sleep(1.3 * leadership.LEASE_SECONDS)
        assert stage.terms == [first, other]


async def test_who_does_not_come_to_an_end_is_ended_before_another_one_begins(stage: Stage) -> None:
    stage.stop_seconds = 2 * leadership.LEASE_SECONDS
    async with leading(stage, "a", "b") as first:
        stage.views[first].is_cut_off = True
        (other,) = {"a", "b"} - {first}
        await stage.until_at_work(other)
        stage.stop_seconds = 0.0
        assert stage.deadlines[first].is_over
        async with asyncio.timeout(10), stage.moved:  # a process would not be there any more
            await stage.moved.wait_for(lambda: first not in stage.at_work)


async def test_who_died_is_followed_by_another_one(stage: Stage) -> None:
    stage.record.leases.append(Lease("dead", leadership.LEASE_SECONDS, 1, "dead"))
    async with leading(stage, "a"):
        assert stage.terms == ["a"]


async def test_a_short_silence_changes_nothing(stage: Stage) -> None:
    async with leading(stage, "a", "b") as first:
        for _ in range(5):
            stage.views[first].is_cut_off = True
            await asyncio.sleep(0.3)
            stage.views[first].is_cut_off = False
            await asyncio.sleep(0.3)
        assert stage.terms == [first]


async def test_an_answer_that_was_lost_is_no_other_leader(stage: Stage) -> None:
    async with leading(stage, "a", "b") as first:
        stage.views[first].loses_answers = True
        await asyncio.sleep(0.06)
        stage.views[first].loses_answers = False
        await asyncio.sleep(1.3 * leadership.LEASE_SECONDS)
        assert stage.terms == [first]


async def test_who_was_overtaken_stops_at_once(stage: Stage) -> None:
    async with leading(stage, "a") as first:
        stage.record.leases.append(Lease("thief", 1000.0, 99, "thief"))
        async with asyncio.timeout(leadership.GIVE_UP_SECONDS):
            await stage.until_at_work()
        assert stage.terms == [first]


async def test_work_that_breaks_ends_the_process_and_frees_the_lease(stage: Stage) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Leadership(stage.record.view(), "a", FakeDeadline()).lead(broken)
    assert stage.record.leases[-1].holder == ""
