"""What deliveries lead to, with a GitHub that really is asked: previews, builds, and what they end."""

import asyncio
import contextlib

import pytest

from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.store.tables import Build, Delivery, Preview, Repository, utc_now
from githubapp.client import GitHubClient
from githubapp.previews import DeliveryWorker
from tests.githubapp.workshop import Workshop


async def shown(workshop: Workshop, sha: str) -> list[tuple[str, str | None]]:
    return [(one.state, one.description) for one in await workshop.statuses(sha)]


async def test_a_push_is_written_down_and_its_build_queued(workshop: Workshop) -> None:
    sha = await workshop.push("First")
    await workshop.act()
    (repository,) = await workshop.rows(Repository)
    known = workshop.sandbox.world.repository("ada/demo")
    assert (repository.host, repository.external_id, repository.full_name) == ("127.0.0.1", known.id, "ada/demo")
    assert repository.clone_url == f"{workshop.sandbox.url}/ada/demo.git"
    assert (repository.private, repository.default_branch) == (False, "main")
    assert repository.installation_id in workshop.sandbox.world.state.installations
    (preview,) = await workshop.rows(Preview)
    assert (preview.kind, preview.ref, preview.head_sha, preview.live) == ("branch", "main", sha, True)
    (build,) = await workshop.builds(sha)
    assert (build.state, build.preview_id) == (BuildState.QUEUED, preview.id)
    delivery = await workshop.last_delivery("push")
    assert (delivery.state, delivery.reason, delivery.lease_owner) == (DeliveryState.ACTED, None, None)
    assert delivery.acted_at


async def test_a_private_repository_is_known_as_one(workshop: Workshop) -> None:
    await workshop.sandbox.set_private("ada/demo", private=True)
    await workshop.push("First")
    await workshop.act()
    assert [row.private for row in await workshop.rows(Repository)] == [True]


async def test_a_payload_need_not_name_its_installation(workshop: Workshop) -> None:
    await workshop.sandbox.add_fault("without_installation", event="push")
    sha = await workshop.push("First")
    await workshop.act()
    assert len(await workshop.builds(sha)) == 1


async def test_a_delivery_that_comes_twice_is_built_once(workshop: Workshop) -> None:
    await workshop.sandbox.add_fault("twice", event="push")
    sha = await workshop.push("First")
    await workshop.act()
    assert len(await workshop.builds(sha)) == 1
    assert [row.event for row in await workshop.rows(Delivery)].count("push") == 1


async def test_a_delivery_about_an_older_head_is_stale_and_the_head_is_built(workshop: Workshop) -> None:
    old = await workshop.push("First")
    new = await workshop.push("Second")
    await workshop.act()
    first, second = [row for row in await workshop.rows(Delivery) if row.event == "push"]
    assert (first.state, second.state) == (DeliveryState.STALE, DeliveryState.ACTED)
    assert first.reason == f"the delivery told of commit {old[:7]}, and now there is commit {new[:7]}"
    assert await workshop.builds(old) == []
    assert len(await workshop.builds(new)) == 1


async def test_a_lost_delivery_is_made_up_for_by_the_next(workshop: Workshop) -> None:
    await workshop.sandbox.add_fault("vanished", event="push")
    await workshop.push("First")
    sha = await workshop.push("Second")
    await workshop.act()
    assert len(await workshop.builds(sha)) == 1


async def test_a_newer_head_supersedes_the_build_of_the_older(workshop: Workshop) -> None:
    old = await workshop.push("First")
    await workshop.act()
    await workshop.move((await workshop.build(old)).id, BuildState.FETCHING)
    new = await workshop.push("Second")
    await workshop.act()
    await workshop.report()
    ended, wanted = await workshop.build(old), await workshop.build(new)
    assert (ended.state, wanted.state) == (BuildState.SUPERSEDED, BuildState.QUEUED)
    assert ended.finished_at
    assert ended.fault
    assert ended.fault["message"] == f"Superseded by {new[:7]}"
    assert (await shown(workshop, old))[-1] == ("error", f"Superseded by {new[:7]}")
    assert (await shown(workshop, new))[-1] == ("pending", "Queued")


async def test_a_build_that_has_ended_stays_as_it_is(workshop: Workshop) -> None:
    old = await workshop.push("First")
    await workshop.act()
    await workshop.finish(old)
    await workshop.push("Second")
    await workshop.act()
    await workshop.report()
    assert (await workshop.build(old)).state is BuildState.SUCCEEDED
    assert (await shown(workshop, old))[-1][0] == "success"


async def test_a_commit_that_comes_back_is_built_again(workshop: Workshop) -> None:
    old = await workshop.push("First")
    await workshop.act()
    await workshop.push("Second")
    await workshop.act()
    await workshop.push_ref(f"+{old}:refs/heads/main")
    await workshop.act()
    assert [row.state for row in await workshop.builds(old)] == [BuildState.SUPERSEDED, BuildState.QUEUED]


async def test_a_deleted_branch_ends_its_preview_and_its_build(workshop: Workshop) -> None:
    await workshop.push("First")
    sha = await workshop.push("Second", "change")
    await workshop.act()
    await workshop.push_ref(":refs/heads/change")
    await workshop.act()
    await workshop.report()
    (preview,) = [row for row in await workshop.rows(Preview) if row.ref == "change"]
    assert not preview.live
    assert (await workshop.build(sha)).state is BuildState.CANCELLED
    assert (await shown(workshop, sha))[-1] == ("error", "Cancelled: the branch was deleted")


async def test_a_branch_that_was_never_known_is_not_remembered(workshop: Workshop) -> None:
    sha = await workshop.push("First")
    await workshop.push("Second", "change")
    await workshop.push_ref(":refs/heads/change")
    await workshop.act()
    assert [row.ref for row in await workshop.rows(Preview)] == ["main"]
    assert [row.sha for row in await workshop.rows(Build)] == [sha]


async def test_a_tag_is_not_built(workshop: Workshop) -> None:
    sha = await workshop.push("First")
    await workshop.act()
    await workshop.push_ref(f"{sha}:refs/tags/v1")
    delivery = await workshop.last_delivery("push")
    assert (delivery.state, delivery.reason) == (
        DeliveryState.IGNORED,
        "only branches are built, no tags or other refs",
    )


async def test_a_pull_request_shares_the_build_of_its_branch(workshop: Workshop) -> None:
    await workshop.push("First")
    sha = await workshop.push("Second", "change")
    number = await workshop.open_pull_request("change")
    await workshop.act()
    assert len(await workshop.builds(sha)) == 1
    pull = (await workshop.rows(Preview))[-1]
    assert (pull.kind, pull.ref, pull.head_sha, pull.live) == ("pull", str(number), sha, True)


@pytest.mark.parametrize("first", ["push", "pull_request"])
async def test_a_shared_build_goes_on_until_both_have_moved(workshop: Workshop, first: str) -> None:
    await workshop.push("First")
    old = await workshop.push("Second", "change")
    await workshop.open_pull_request("change")
    await workshop.act()
    await workshop.sandbox.add_fault("lost", event=first)
    await workshop.push("Third", "change")
    await workshop.act()
    assert (await workshop.build(old)).state is BuildState.QUEUED
    (lost,) = [one for one in await workshop.sandbox.deliveries() if not one.ok]
    await workshop.sandbox.redeliver(lost.id)
    await workshop.sandbox.settled()
    await workshop.act()
    assert (await workshop.build(old)).state is BuildState.SUPERSEDED


async def test_a_closed_pull_request_ends_only_what_nobody_else_wants(workshop: Workshop) -> None:
    await workshop.push("First")
    sha = await workshop.push("Second", "change")
    number = await workshop.open_pull_request("change")
    await workshop.act()
    await workshop.sandbox.close_pull_request("ada/demo", number)
    await workshop.sandbox.settled()
    await workshop.act()
    assert (await workshop.rows(Preview))[-1].live is False
    assert (await workshop.build(sha)).state is BuildState.QUEUED
    await workshop.push_ref(":refs/heads/change")
    await workshop.act()
    assert (await workshop.build(sha)).state is BuildState.CANCELLED


def waiting_for(sha: str) -> tuple[str, str]:
    """Return the status of a fork's commit that nobody has allowed."""
    return "pending", f"Waiting for approval: somebody with write access may allow it with /ok-to-test {sha[:7]}"


async def test_a_fork_waits_for_approval(workshop: Workshop) -> None:
    await workshop.push("First")
    await workshop.act()
    old = await workshop.fork()
    number = await workshop.open_pull_request("bob:theirs", author="bob")
    await workshop.act()
    await workshop.report()
    delivery = await workshop.last_delivery("pull_request")
    assert (delivery.state, delivery.reason) == (DeliveryState.ACTED, "commits from forks wait for approval")
    assert await workshop.builds(old) == []
    assert await shown(workshop, old) == [waiting_for(old)]
    new = await workshop.push_to_fork("Another")
    await workshop.act()
    await workshop.report()
    assert await shown(workshop, old) == [waiting_for(old), ("error", f"Superseded by {new[:7]}")]
    assert await shown(workshop, new) == [waiting_for(new)]
    await workshop.sandbox.close_pull_request("ada/demo", number)
    await workshop.sandbox.settled()
    await workshop.act()
    await workshop.report()
    assert (await shown(workshop, new))[-1] == ("error", "Cancelled: the pull request was closed")
    (comment,) = workshop.comments(number)
    assert "The preview was removed" in comment.body


async def test_a_fork_that_offers_a_commit_of_ours_changes_nothing(workshop: Workshop) -> None:
    """Whoever opens a pull request with a commit that is built already must not turn its status back."""
    await workshop.push("First")
    sha = await workshop.push("Second", "change")
    await workshop.act()
    await workshop.finish(sha)
    await workshop.sandbox.fork("ada/demo", owner="bob")
    await workshop.open_pull_request("bob:change", author="bob")
    await workshop.act()
    await workshop.report()
    assert (await shown(workshop, sha))[-1][0] == "success"


async def test_a_repository_keeps_its_row_when_it_is_renamed(workshop: Workshop) -> None:
    await workshop.push("First")
    await workshop.act()
    await workshop.sandbox.rename_repository("ada/demo", name="other")
    await workshop.checkout.commit("Second", second="2")
    await workshop.checkout.push(workshop.sandbox.clone_url("ada/other", login="ada"))
    await workshop.sandbox.settled()
    await workshop.act()
    (repository,) = await workshop.rows(Repository)
    assert repository.full_name == "ada/other"
    assert repository.clone_url.endswith("/ada/other.git")


async def test_a_name_that_another_repository_took_over(workshop: Workshop) -> None:
    await workshop.push("First")
    await workshop.act()
    await workshop.sandbox.add_fault("vanished", event="repository")
    await workshop.sandbox.rename_repository("ada/demo", name="other")
    await workshop.sandbox.create_repository("ada/demo")
    await workshop.sandbox.install(workshop.app.app_id, account="ada", repositories=["ada/demo"])
    sha = await workshop.push("Second")
    await workshop.act()
    first, second = await workshop.rows(Repository)
    assert (first.name, second.name) == (f"~{first.id}", "demo")
    assert [row.repository_id for row in await workshop.builds(sha)] == [second.id]


async def test_a_repository_that_a_link_named_first_is_the_same(workshop: Workshop) -> None:
    async with workshop.store.write() as session:
        session.add(Repository(host="127.0.0.1", owner="Ada", name="Demo", clone_url="http://127.0.0.1/Ada/Demo.git"))
    await workshop.push("First")
    await workshop.act()
    (repository,) = await workshop.rows(Repository)
    assert (repository.full_name, repository.external_id is not None) == ("ada/demo", True)


async def test_a_visitors_build_is_nobody_elses_to_end(workshop: Workshop) -> None:
    await workshop.push("First")
    await workshop.act()
    (repository,) = await workshop.rows(Repository)
    async with workshop.store.write() as session:
        session.add(Build(repository_id=repository.id, sha="f" * 40))
    await workshop.push("Second")
    await workshop.act()
    assert (await workshop.build("f" * 40)).state is BuildState.QUEUED


async def test_where_the_app_is_not_installed_nothing_is_done(workshop: Workshop) -> None:
    await workshop.sandbox.add_fault("without_installation", event="push")
    await workshop.push("First")
    await workshop.sandbox.uninstall(workshop.app.app_id, account="ada")
    await workshop.sandbox.settled()
    await workshop.act()
    delivery = await workshop.last_delivery("push")
    assert (delivery.state, delivery.reason) == (
        DeliveryState.IGNORED,
        "the App is not installed on the repository",
    )
    assert await workshop.rows(Repository) == []


async def test_where_the_app_lost_sight_nothing_is_done(workshop: Workshop) -> None:
    await workshop.sandbox.set_private("ada/demo", private=True)
    await workshop.push("First")
    await workshop.sandbox.uninstall(workshop.app.app_id, account="ada")
    await workshop.sandbox.settled()
    await workshop.act()
    delivery = await workshop.last_delivery("push")
    assert (delivery.state, delivery.reason) == (
        DeliveryState.IGNORED,
        "the App is not installed on the repository",
    )
    assert await workshop.rows(Repository) == []


async def test_a_suspended_app_fails_and_the_delivery_may_come_again(workshop: Workshop) -> None:
    sha = await workshop.push("First")
    await workshop.sandbox.set_suspended(workshop.app.app_id, account="ada", suspended=True)
    await workshop.act()
    failed = await workshop.last_delivery("push")
    assert failed.state is DeliveryState.FAILED
    assert failed.reason
    assert "403" in failed.reason
    await workshop.sandbox.set_suspended(workshop.app.app_id, account="ada", suspended=False)
    (push,) = [one for one in await workshop.sandbox.deliveries() if one.event == "push"]
    await workshop.sandbox.redeliver(push.id)
    await workshop.sandbox.settled()
    await workshop.act()
    assert len(await workshop.builds(sha)) == 1


async def test_while_github_is_down_a_delivery_waits(workshop: Workshop) -> None:
    await workshop.push("The branch is created")
    await workshop.act()
    sha = await workshop.push("First")
    await workshop.sandbox.add_fault("status", status=503, count=3, path="^/api/")
    for attempt in (1, 2, 3):
        assert await workshop.worker.step()
        assert not await workshop.worker.step()
        delivery = await workshop.last_delivery("push")
        assert (delivery.state, delivery.attempts) == (DeliveryState.STORED, attempt)
        assert delivery.reason == "GitHub answered 503."
        assert delivery.lease_until
        assert delivery.lease_until > utc_now()
        await workshop.skip_pauses()
    await workshop.act()
    assert (await workshop.last_delivery("push")).state is DeliveryState.ACTED
    assert len(await workshop.builds(sha)) == 1


async def test_a_delivery_that_never_works_fails_in_the_end(workshop: Workshop) -> None:
    await workshop.push("The branch is created")
    await workshop.act()
    await workshop.push("First")
    await workshop.sandbox.add_fault("status", status=503, count=100, path="^/api/")
    for _ in range(25):
        await workshop.worker.step()
        await workshop.skip_pauses()
    delivery = await workshop.last_delivery("push")
    assert (delivery.state, delivery.attempts) == (DeliveryState.FAILED, 25)


async def test_of_two_workers_the_one_with_the_older_answer_writes_nothing(workshop: Workshop) -> None:
    await workshop.push("The branch is created")
    await workshop.act()
    old = await workshop.push("First")
    held = workshop.gate.hold("GET", "/branches/main$")
    slow = asyncio.create_task(workshop.worker.step())
    await held.reached.wait()
    new = await workshop.push("Second")
    with contextlib.closing(GitHubClient.from_settings(workshop.settings)) as of_another_process:
        await DeliveryWorker(workshop.store, of_another_process, workshop.settings).step()
    held.released.set()
    await slow
    first = [row for row in await workshop.rows(Delivery) if row.event == "push"][1]
    assert (first.state, first.reason) == (DeliveryState.STORED, "The ref changed while it was looked at.")
    assert [row.head_sha for row in await workshop.rows(Preview)] == [new]
    assert await workshop.builds(old) == []
    await workshop.skip_pauses()
    await workshop.act()
    assert [row.head_sha for row in await workshop.rows(Preview)] == [new]
    states = [row.state for row in await workshop.rows(Delivery) if row.event == "push"][1:]
    assert states == [DeliveryState.STALE, DeliveryState.ACTED]


async def test_what_may_take_away_a_right_goes_before_what_came_earlier(workshop: Workshop) -> None:
    await workshop.act()
    await workshop.push("First")
    await workshop.sandbox.set_private("ada/demo", private=True)
    await workshop.sandbox.settled()
    assert await workshop.worker.step()
    assert (await workshop.last_delivery("repository")).state is not DeliveryState.STORED
    assert (await workshop.last_delivery("push")).state is DeliveryState.STORED


async def test_what_waits_for_visitors_ends_with_the_last_preview_of_its_commit(workshop: Workshop) -> None:
    await workshop.push("First")
    await workshop.sandbox.add_fault("lost", count=2)
    sha = await workshop.push("Second", "change")
    lost = [one.id for one in await workshop.sandbox.deliveries() if not one.ok]
    number = await workshop.open_pull_request("change")
    await workshop.happens(*(workshop.sandbox.redeliver(one) for one in lost))
    waits = await workshop.add_session(await workshop.finish(sha), SessionState.STANDBY)
    await workshop.happens(workshop.sandbox.close_pull_request("ada/demo", number))
    assert await workshop.session_states() == {waits: SessionState.STANDBY}
    await workshop.happens(workshop.push_ref(":refs/heads/change"))
    assert await workshop.session_states() == {waits: SessionState.ENDED}
