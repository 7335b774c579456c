"""The life of installations: what is taken from us ends at once, what is given back is taken up again."""

from sqlalchemy import select

from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.store.tables import Build, Delivery, Installation, Report, Repository
from tests.githubapp.workshop import Workshop


async def busy(workshop: Workshop) -> tuple[str, str, list[str]]:
    """Return a commit that is ready, one that is being built, and the first's sessions: a standby and an open one."""
    ready = await workshop.push("First")
    await workshop.act()
    build = await workshop.finish(ready)
    sessions = [await workshop.add_session(build, state) for state in (SessionState.STANDBY, SessionState.OPEN)]
    building = await workshop.push("Second", "change")
    await workshop.act()
    await workshop.report()
    return ready, building, sessions


async def states(workshop: Workshop, sessions: list[str]) -> list[SessionState]:
    found = await workshop.session_states()
    return [found[one] for one in sessions]


async def owed(workshop: Workshop) -> list[Report]:
    async with workshop.store.read() as session:
        return list(await session.scalars(select(Report).where(Report.owed)))


async def test_an_installation_is_known_by_its_account(workshop: Workshop) -> None:
    await workshop.act()
    (row,) = await workshop.rows(Installation)
    assert (row.host, row.account, row.suspended, row.compared_at) == ("127.0.0.1", "ada", False, None)
    assert row.external_id in workshop.sandbox.world.state.installations
    delivery = await workshop.last_delivery("installation")
    assert (delivery.state, delivery.reason) == (DeliveryState.ACTED, "the installation covers 1 repositories")


async def test_an_uninstalled_app_leaves_nothing_running(workshop: Workshop) -> None:
    _, building, sessions = await busy(workshop)
    workshop.gate.seen.clear()
    await workshop.happens(workshop.sandbox.uninstall(workshop.app.app_id, account="ada"))
    assert await workshop.rows(Installation) == []
    (repository,) = await workshop.rows(Repository)
    assert repository.installation_id is None
    assert [(await workshop.preview(ref)).live for ref in ("main", "change")] == [False, False]
    build = await workshop.build(building)
    assert (build.state, build.fault and build.fault["message"]) == (
        BuildState.CANCELLED,
        "Cancelled: the App was uninstalled",
    )
    assert await states(workshop, sessions) == [SessionState.ENDED, SessionState.ENDED]
    assert await workshop.decisions(building) == [("build", None), ("end", "the App was uninstalled")]
    assert await owed(workshop) == []
    assert [one for one in workshop.gate.seen if not one.endswith("access_tokens")] == []


async def test_a_repository_that_is_removed_ends_alone(workshop: Workshop) -> None:
    await workshop.sandbox.create_repository("ada/other")
    await workshop.sandbox.install(workshop.app.app_id, account="ada", repositories=["ada/other"])
    _, building, sessions = await busy(workshop)
    await workshop.happens(workshop.sandbox.uninstall(workshop.app.app_id, account="ada", repositories=["ada/demo"]))
    (repository,) = await workshop.rows(Repository)
    assert (repository.installation_id, len(await workshop.rows(Installation))) == (None, 1)
    assert (await workshop.build(building)).state is BuildState.CANCELLED
    assert await states(workshop, sessions) == [SessionState.ENDED, SessionState.ENDED]
    delivery = await workshop.last_delivery("installation_repositories")
    assert delivery.state is DeliveryState.ACTED


async def test_a_removal_is_acted_on_before_what_came_earlier(workshop: Workshop) -> None:
    await busy(workshop)
    await workshop.push("Third")
    await workshop.sandbox.uninstall(workshop.app.app_id, account="ada")
    await workshop.sandbox.settled()
    await workshop.worker.step()
    assert (await workshop.last_delivery("installation")).state is DeliveryState.ACTED
    assert (await workshop.last_delivery("push")).state is DeliveryState.STORED


async def test_a_suspended_app_neither_builds_nor_speaks_and_goes_on_afterwards(workshop: Workshop) -> None:
    ready, building, sessions = await busy(workshop)
    app_id = workshop.app.app_id
    await workshop.happens(workshop.sandbox.set_suspended(app_id, account="ada", suspended=True))
    assert [row.suspended for row in await workshop.rows(Installation)] == [True]
    assert (await workshop.build(building)).state is BuildState.CANCELLED
    assert await states(workshop, sessions) == [SessionState.ENDED, SessionState.OPEN]
    assert await owed(workshop) == []
    assert (await workshop.statuses(building))[-1].state == "pending"
    moved = await workshop.push("Third")  # nothing is delivered
    await workshop.happens(workshop.sandbox.set_suspended(app_id, account="ada", suspended=False))
    await workshop.compare()
    await workshop.report()
    assert [row.state for row in await workshop.builds(building)] == [BuildState.CANCELLED, BuildState.QUEUED]
    assert (await workshop.statuses(building))[-1].description == "Queued"
    assert len(await workshop.builds(moved)) == 1
    assert len(await workshop.builds(ready)) == 1
    assert [row.suspended for row in await workshop.rows(Installation)] == [False]


async def test_what_was_left_pending_is_ended_when_the_app_comes_back(workshop: Workshop) -> None:
    _, building, _ = await busy(workshop)
    app_id = workshop.app.app_id
    await workshop.happens(workshop.sandbox.set_suspended(app_id, account="ada", suspended=True))
    await workshop.push("Third", "change")
    await workshop.happens(workshop.sandbox.set_suspended(app_id, account="ada", suspended=False))
    await workshop.compare()
    await workshop.report()
    assert (await workshop.statuses(building))[-1].state == "error"


async def test_what_was_left_waiting_is_told_why_when_the_app_comes_back(workshop: Workshop) -> None:
    await workshop.push("First", README="# Hello")
    waits = await workshop.fork()
    await workshop.open_pull_request("bob:theirs", author="bob")
    await workshop.happens()
    app_id = workshop.app.app_id
    await workshop.happens(workshop.sandbox.set_suspended(app_id, account="ada", suspended=True))
    await workshop.push_to_fork("While nobody looked")
    await workshop.happens(workshop.sandbox.set_suspended(app_id, account="ada", suspended=False))
    await workshop.compare()
    await workshop.report()
    assert [one.description for one in await workshop.statuses(waits)][1:] == ["Cancelled: the App is suspended"]


async def test_what_does_not_hold_any_more_is_not_told_when_the_app_comes_back(workshop: Workshop) -> None:
    await workshop.push("First", README="# Hello")
    sha = await workshop.push("Second", "change", README="# Hello again")
    number = await workshop.open_pull_request("change")
    await workshop.happens()
    await workshop.sandbox.add_fault("status", method="POST", path="/deployments", status=500, count=20)
    await workshop.sandbox.add_fault("status", method="PATCH", path="/comments", status=500, count=20)
    await workshop.finish(sha)
    await workshop.sandbox.clear_faults()
    app_id = workshop.app.app_id
    await workshop.happens(workshop.sandbox.set_suspended(app_id, account="ada", suspended=True))
    await workshop.sandbox.close_pull_request("ada/demo", number)
    await workshop.push_ref(":refs/heads/change")
    await workshop.happens(workshop.sandbox.set_suspended(app_id, account="ada", suspended=False))
    await workshop.compare()
    await workshop.report()
    assert await workshop.deployed(sha) == []
    (comment,) = workshop.comments(number)
    assert "was removed" in comment.body


async def test_repositories_that_are_added_are_looked_at(workshop: Workshop) -> None:
    await workshop.act()
    await workshop.sandbox.create_repository("ada/other")
    await workshop.checkout.commit("Before the App was there")
    await workshop.checkout.push(workshop.sandbox.clone_url("ada/other", login="ada"))
    sha = await workshop.checkout.git("rev-parse", "HEAD")
    await workshop.checkout.push(workshop.sandbox.clone_url("ada/other", login="ada"), "HEAD:refs/heads/old")
    await workshop.sandbox.install(workshop.app.app_id, account="ada", repositories=["ada/demo", "ada/other"])
    await workshop.happens()
    await workshop.compare()
    (build,) = await workshop.rows(Build)
    assert build.sha == sha
    assert [row.ref for row in await workshop.rows_live()] == ["main"]  # no branch that nobody works on


async def test_a_lost_uninstallation_is_found(workshop: Workshop) -> None:
    _, building, sessions = await busy(workshop)
    await workshop.sandbox.add_fault("vanished", event="installation")
    await workshop.happens(workshop.sandbox.uninstall(workshop.app.app_id, account="ada"))
    assert "deleted" not in [row.payload.get("action") for row in await workshop.rows(Delivery)]
    await workshop.compare()
    assert await workshop.rows(Installation) == []
    assert (await workshop.build(building)).state is BuildState.CANCELLED
    assert await states(workshop, sessions) == [SessionState.ENDED, SessionState.ENDED]
