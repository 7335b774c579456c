"""Deliveries are fetched where GitHub cannot deliver them: each once, in order, whatever comes in between."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from binder.lifecycle import DeliveryState
from binder.store.tables import Delivery, utc_now
from githubapp import pulled
from githubapp.faults import GitHubUnavailableError
from githubapp.inbox import Inbox
from githubapp.pulled import PulledDeliveries, missing
from githubapp.values import HookDelivery
from tests.githubapp.workshop import Workshop

# Nobody listens there, as behind a firewall.
NOWHERE = "http://127.0.0.1:9/webhooks/github"
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
async def laptop(workshop: Workshop) -> Workshop:
    """A workshop that GitHub cannot reach."""
    await workshop.sandbox.set_webhook(workshop.app.app_id, webhook_url=NOWHERE)
    return workshop


def fetching(workshop: Workshop) -> PulledDeliveries:
    return PulledDeliveries(workshop.client.about_app, Inbox(workshop.store, workshop.settings))


async def pushes(workshop: Workshop) -> list[str]:
    return [row.payload["after"] for row in await workshop.rows(Delivery) if row.event == "push"]


def test_what_is_missing_is_taken_once_and_the_oldest_first() -> None:
    listed = [
        HookDelivery(4, "b", "push", NOW, "OK", 202),
        HookDelivery(3, "here", "push", NOW, "OK", 202),
        HookDelivery(2, "b", "push", NOW - timedelta(minutes=1), "OK", 202),
        HookDelivery(1, "a", "push", NOW - timedelta(minutes=2), "OK", 202),
    ]
    assert [one.id for one in missing(listed, {"here"})] == [1, 2]


async def test_a_push_is_fetched_and_acted_on(laptop: Workshop) -> None:
    sha = await laptop.push("First", README="# Hello")
    assert await pushes(laptop) == []
    await fetching(laptop).look()
    await laptop.act()
    assert len(await laptop.builds(sha)) == 1


async def test_each_is_fetched_once(laptop: Workshop) -> None:
    fetch = fetching(laptop)
    first = await laptop.push("First", README="1")
    await fetch.look()
    await fetch.look()
    second = await laptop.push("Second", README="2")
    await fetch.look()
    await fetching(laptop).look()  # as after a restart
    assert await pushes(laptop) == [first, second]


async def test_what_also_came_by_itself_is_one(workshop: Workshop) -> None:
    sha = await workshop.push("First", README="# Hello")
    before = len(await workshop.rows(Delivery))
    await fetching(workshop).look()
    assert await pushes(workshop) == [sha]
    assert len(await workshop.rows(Delivery)) == before


async def test_all_pages_are_looked_through_and_afterwards_only_the_new_ones(
    laptop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("githubapp.app_calls._PAGE", 2)
    shas = [await laptop.push(f"Number {number}", README=str(number)) for number in range(5)]
    fetch = fetching(laptop)
    await fetch.look()
    assert await pushes(laptop) == shas
    laptop.gate.asked.clear()
    more = await laptop.push("One more", README="more")
    await fetch.look()
    assert await pushes(laptop) == [*shas, more]
    assert len([one for one in laptop.gate.asked if one.endswith("/app/hook/deliveries")]) == 1


async def test_where_fetching_breaks_off_the_rest_comes_with_the_next_look(laptop: Workshop) -> None:
    fetch = fetching(laptop)
    await fetch.look()
    shas = [await laptop.push(f"Number {number}", README=str(number)) for number in range(3)]
    third = [one for one in await laptop.sandbox.deliveries() if one.event == "push"][1]
    await laptop.sandbox.add_fault("status", path=f"/app/hook/deliveries/{third.id}")
    with pytest.raises(GitHubUnavailableError):
        await fetch.look()
    assert await pushes(laptop) == shas[:1]
    await fetch.look()
    assert await pushes(laptop) == shas


async def test_one_that_is_gone_does_not_keep_the_others_back(laptop: Workshop) -> None:
    shas = [await laptop.push(f"Number {number}", README=str(number)) for number in range(2)]
    first = [one for one in await laptop.sandbox.deliveries() if one.event == "push"][1]
    await laptop.sandbox.add_fault("status", path=f"/app/hook/deliveries/{first.id}", status=404)
    await fetching(laptop).look()
    assert await pushes(laptop) == shas[1:]


async def test_one_that_failed_here_is_taken_again_when_it_is_delivered_again(laptop: Workshop) -> None:
    fetch = fetching(laptop)
    await laptop.push("First", README="# Hello")
    await fetch.look()
    async with laptop.store.write() as session:
        await session.execute(update(Delivery).values(state=DeliveryState.FAILED, attempts=9))
    push = next(one for one in await laptop.sandbox.deliveries() if one.event == "push")
    await laptop.sandbox.redeliver(push.id)
    await laptop.sandbox.settled()
    await fetch.look()
    assert (await laptop.last_delivery("push")).state is DeliveryState.STORED


async def test_what_is_older_than_the_window_is_left(laptop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    await laptop.push("First", README="# Hello")
    then = utc_now() + timedelta(days=4)
    monkeypatch.setattr(pulled, "utc_now", lambda: then)
    await fetching(laptop).look()
    assert await pushes(laptop) == []
