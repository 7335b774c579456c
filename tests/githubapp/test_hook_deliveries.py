"""The list of deliveries is read as far as it is wanted, and no further than a bound."""

from datetime import UTC, datetime

import pytest

from githubapp import hook_deliveries
from githubapp.hook_deliveries import listed
from tests.githubapp.workshop import Workshop

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
async def busy(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A workshop with pages of two deliveries, ten of them at least."""
    monkeypatch.setattr("githubapp.app_calls._PAGE", 2)
    for number in range(8):
        await workshop.push(f"Number {number}", README=str(number))
    workshop.gate.asked.clear()
    return workshop


def pages_of(workshop: Workshop) -> int:
    return len([one for one in workshop.gate.asked if one.endswith("/app/hook/deliveries")])


async def test_all_is_read_where_all_is_wanted(busy: Workshop) -> None:
    there = await busy.sandbox.deliveries()
    found = await listed(busy.client.about_app, lambda one: one.delivered_at > LONG_AGO)
    assert [one.id for one in found] == [one.id for one in there]
    assert pages_of(busy) == (len(there) + 1) // 2


async def test_reading_ends_at_what_is_not_wanted(busy: Workshop) -> None:
    there = await busy.sandbox.deliveries()
    found = await listed(busy.client.about_app, lambda one: one.id > there[3].id)
    assert [one.id for one in found] == [one.id for one in there[:3]]
    assert pages_of(busy) == 2


async def test_only_what_failed(busy: Workshop) -> None:
    await busy.sandbox.add_fault("lost", event="push")
    await busy.push("Lost", README="lost")
    (found,) = await listed(busy.client.about_app, lambda _: True, failed=True)
    assert (found.event, found.status_code) == ("push", 0)


async def test_there_is_a_bound(busy: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_deliveries, "_MOST_PAGES", 3)
    assert len(await listed(busy.client.about_app, lambda _: True)) == 6
