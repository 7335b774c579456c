"""What failed is ordered again: not for ever, not too soon, not where it is here; by the stand-in's real list."""

from datetime import UTC, datetime, timedelta

import pytest

from binder.lifecycle import DeliveryState
from binder.store.tables import Delivery, utc_now
from githubapp import redelivery
from githubapp.inbox import Inbox
from githubapp.redelivery import Redelivery, due
from githubapp.values import HookDelivery
from tests.githubapp.workshop import Workshop

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def failed(guid: str, *hours_ago: float) -> list[HookDelivery]:
    """Return an event's attempts, each made so many hours before now."""
    return [
        HookDelivery(int(1e6 - hours * 100), guid, "push", NOW - timedelta(hours=hours), "timed out", 0)
        for hours in hours_ago
    ]


@pytest.mark.parametrize(
    ("hours_ago", "is_due"),
    [
        ([0.01], False),
        ([0.02], True),
        ([71], True),
        ([73], False),
        ([1, 0.2], False),
        ([1, 0.3], True),
        ([3, 2, 1.9], False),
        ([5, 3, 2.1], True),
        ([9, 8, 7, 6], False),
        ([73, 0.5], False),
    ],
)
def test_an_event_is_tried_again_three_times_with_pauses_within_three_days(
    hours_ago: list[float], is_due: bool
) -> None:
    assert bool(due(failed("a", *hours_ago), (), NOW)) is is_due


def test_the_newest_attempt_of_each_event_is_ordered_and_the_oldest_event_first() -> None:
    listed = [*failed("new", 1), *failed("old", 9, 5), *failed("here", 3)]
    assert [(one.guid, NOW - one.delivered_at) for one in due(listed, {"here"}, NOW)] == [
        ("old", timedelta(hours=5)),
        ("new", timedelta(hours=1)),
    ]


def test_where_nothing_failed_nothing_is_ordered() -> None:
    assert due([], (), NOW) == []


def _redelivery(workshop: Workshop) -> Redelivery:
    return Redelivery(workshop.client.about_app, Inbox(workshop.store, workshop.settings).intake)


def _later(monkeypatch: pytest.MonkeyPatch, **more: float) -> None:
    then = utc_now() + timedelta(**more)
    monkeypatch.setattr(redelivery, "utc_now", lambda: then)


async def test_a_lost_push_comes_again_and_is_acted_on(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    await workshop.push("First", README="# Hello")
    await workshop.act()
    await workshop.sandbox.add_fault("lost", event="push")
    sha = await workshop.push("Second", README="# Hello again")
    await workshop.act()
    assert await workshop.builds(sha) == []
    again = _redelivery(workshop)
    await again.look()
    await workshop.sandbox.settled()
    assert await workshop.builds(sha) == []  # it is too soon
    _later(monkeypatch, minutes=2)
    await again.look()
    await workshop.sandbox.settled()
    await workshop.act()
    assert len(await workshop.builds(sha)) == 1
    before = len(await workshop.sandbox.deliveries())
    await again.look()
    await workshop.sandbox.settled()
    assert len(await workshop.sandbox.deliveries()) == before


async def test_all_pages_are_looked_through(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    await workshop.sandbox.add_fault("lost", event="push", count=3)
    monkeypatch.setattr("githubapp.app_calls._PAGE", 1)
    shas = [await workshop.push(f"Number {number}", README=str(number)) for number in range(3)]
    _later(monkeypatch, minutes=2)
    await _redelivery(workshop).look()
    await workshop.sandbox.settled()
    pushes = [row for row in await workshop.rows(Delivery) if row.event == "push"]
    assert [row.payload["after"] for row in pushes] == shas


async def test_it_ends_after_three_times(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    await workshop.sandbox.add_fault("lost", event="push", count=10)
    await workshop.push("First", README="# Hello")
    again = _redelivery(workshop)
    for _ in range(6):
        _later(monkeypatch, hours=3)
        await again.look()
        await workshop.sandbox.settled()
    pushes = [one for one in await workshop.sandbox.deliveries() if one.event == "push"]
    assert len(pushes) == 4


async def test_one_that_github_does_not_deliver_again_does_not_keep_the_others_back(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workshop.sandbox.add_fault("lost", event="push", count=2)
    await workshop.push("First", README="1")
    second = await workshop.push("Second", README="2")
    await workshop.sandbox.add_fault("status", path="/attempts", status=422)
    _later(monkeypatch, minutes=2)
    await _redelivery(workshop).look()
    await workshop.sandbox.settled()
    rows = [row for row in await workshop.rows(Delivery) if row.event == "push"]
    assert [(row.payload["after"], row.state) for row in rows] == [(second, DeliveryState.STORED)]
