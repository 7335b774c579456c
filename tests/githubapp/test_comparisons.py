"""The loop that finds what no delivery told, with deliveries that really were lost."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from binder.lifecycle import BuildState
from binder.store.tables import Decision, Delivery, Installation, utc_now
from githubapp.comparisons import Comparisons
from tests.githubapp.workshop import Workshop

LOST = ("push", "create", "delete", "pull_request")


async def lose_everything(workshop: Workshop) -> None:
    for event in LOST:
        await workshop.sandbox.add_fault("vanished", event=event, count=20)


async def told(workshop: Workshop) -> list[Delivery]:
    """Return the deliveries but those that tell of our own check runs."""
    return [row for row in await workshop.rows(Delivery) if row.event != "check_run"]


async def test_what_was_never_told_is_found(workshop: Workshop) -> None:
    first = await workshop.push("First")
    change = await workshop.push("Second", "change")
    await workshop.open_pull_request("change")
    closed = await workshop.push("Third", "closed")
    other = await workshop.open_pull_request("closed")
    await workshop.act()
    before = len([row for row in await workshop.rows(Delivery) if row.event in LOST])
    await lose_everything(workshop)
    newest = await workshop.push("Fourth", "main")
    await workshop.push_ref(":refs/heads/change")
    await workshop.sandbox.close_pull_request("ada/demo", other)
    opened = await workshop.push("Fifth", "closed")
    again = await workshop.open_pull_request("closed")
    await workshop.happens()
    assert len([row for row in await workshop.rows(Delivery) if row.event in LOST]) == before
    await workshop.compare()
    await workshop.report()
    assert {row.ref for row in await workshop.rows_live()} == {"main", "closed", str(again)}
    assert (await workshop.build(newest)).state is BuildState.QUEUED
    assert (await workshop.build(opened)).state is BuildState.QUEUED
    assert (await workshop.build(first)).state is BuildState.SUPERSEDED
    assert (await workshop.build(closed)).state is BuildState.SUPERSEDED
    assert (await workshop.build(change)).state is BuildState.CANCELLED  # GitHub closed its pull request
    causes = {row.cause for row in await workshop.rows(Decision) if row.sha in {newest, opened}}
    assert causes == {"comparison"}
    (installation,) = await workshop.rows(Installation)
    assert installation.compared_at
    looked = len(await workshop.rows(Decision))
    await workshop.compare()
    assert len(await workshop.rows(Decision)) == looked


async def test_it_is_done_each_hour(workshop: Workshop) -> None:
    sha = await workshop.push("First")
    await workshop.act()
    comparisons = Comparisons(workshop.store, workshop.client, workshop.settings)
    while await comparisons.step():
        pass
    await lose_everything(workshop)
    newer = await workshop.push("Second")
    assert not await comparisons.step()
    assert (await workshop.build(sha)).state is BuildState.QUEUED
    async with workshop.store.write() as session:
        await session.execute(update(Installation).values(compared_at=utc_now() - timedelta(hours=1)))
    comparisons._began_at = utc_now() - timedelta(days=1)
    while await comparisons.step():
        pass
    assert (await workshop.build(newer)).state is BuildState.QUEUED


@pytest.mark.parametrize("call", ["/app/installations", "/installation/repositories", "/branches", "/pulls"])
async def test_while_github_is_down_it_waits_and_loses_nothing(workshop: Workshop, call: str) -> None:
    await workshop.act()
    await lose_everything(workshop)
    sha = await workshop.push("First")
    await workshop.sandbox.add_fault("status", status=503, count=2, path=f"{call}$")
    comparisons = Comparisons(workshop.store, workshop.client, workshop.settings)
    for _ in range(30):
        comparisons._not_before = utc_now()
        await comparisons.step()
    assert len(await workshop.builds(sha)) == 1
    (installation,) = await workshop.rows(Installation)
    assert installation.compared_at


async def test_what_is_added_while_it_compares_is_compared_after_it(workshop: Workshop) -> None:
    await workshop.act()
    comparisons = Comparisons(workshop.store, workshop.client, workshop.settings)
    assert await comparisons.step()  # lists the installations
    assert await comparisons.step()  # finds what this one covers
    await workshop.sandbox.create_repository("ada/other")
    await workshop.checkout.commit("Before the App was there")
    await workshop.checkout.push(workshop.sandbox.clone_url("ada/other", login="ada"))
    await workshop.happens(workshop.sandbox.install(workshop.app.app_id, account="ada", repositories=["ada/other"]))
    while await comparisons.step():
        pass
    assert [row.ref for row in await workshop.rows_live()] == ["main"]


async def test_a_rate_limit_leaves_the_installation_alone_for_an_hour(workshop: Workshop) -> None:
    await workshop.act()
    await workshop.sandbox.add_fault("rate_limited", status=403, count=1, path="/branches$", retry_after_seconds=40)
    workshop.gate.seen.clear()
    comparisons = Comparisons(workshop.store, workshop.client, workshop.settings)
    while await comparisons.step():
        pass
    (installation,) = await workshop.rows(Installation)
    assert installation.compared_at


async def test_an_installation_short_of_requests_is_left_to_others(workshop: Workshop) -> None:
    await workshop.act()
    await lose_everything(workshop)
    sha = await workshop.push("First")
    comparisons = Comparisons(workshop.store, workshop.client, workshop.settings)
    (installation_id,) = workshop.sandbox.world.state.installations
    assert await comparisons.step()  # lists the installations
    assert await comparisons.step()  # finds what this one covers
    connection = await workshop.client._sign_in.installation(installation_id)
    await connection.call(lambda github: setattr(github.requester, "rate_limiting", (100, 5000)))
    assert await comparisons.step()
    assert not await comparisons.step()
    assert await workshop.builds(sha) == []
