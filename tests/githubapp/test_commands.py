"""What people may ask for by a comment or a button, and that nobody else gets it."""

import asyncio
import contextlib

import pytest

from binder.errors import RepositoryFault
from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.store.queries import want_build
from binder.store.tables import Delivery
from githubapp.client import GitHubClient
from githubapp.heads import WAITS_FOR_APPROVAL
from githubapp.previews import DeliveryWorker
from tests.githubapp.workshop import Workshop

HELD = ("hold", WAITS_FOR_APPROVAL)
BUILT = ("build", None)


async def forked(workshop: Workshop) -> str:
    """Have Bob propose a commit of his fork as pull request 1; return its sha."""
    await workshop.push("First")
    sha = await workshop.fork()
    await workshop.open_pull_request("bob:theirs", author="bob")
    await workshop.act()
    await workshop.report()
    return sha


async def proposed(workshop: Workshop) -> str:
    """Have Ada propose a commit of her repository as pull request 1; return its sha."""
    await workshop.finish(await _first(workshop))
    sha = await workshop.push("Second", "change")
    await workshop.open_pull_request("change")
    await workshop.act()
    return sha


async def _first(workshop: Workshop) -> str:
    sha = await workshop.push("First")
    await workshop.act()
    return sha


async def say(workshop: Workshop, body: str, author: str = "ada") -> str | None:
    """Comment on the pull request, and return why it came to what it came to."""
    return (await said(workshop, body, author)).reason


async def said(workshop: Workshop, body: str, author: str) -> Delivery:
    comment = await workshop.sandbox.comment("ada/demo", 1, author=author, body=body)
    await workshop.happens()
    of_comments = [row for row in await workshop.rows(Delivery) if row.event == "issue_comment"]
    return next(row for row in of_comments if row.payload["comment"]["id"] == comment.id)


async def test_a_fork_is_built_once_its_very_commit_is_allowed(workshop: Workshop) -> None:
    sha = await forked(workshop)
    assert await workshop.decisions(sha) == [HELD]
    assert await say(workshop, f"/ok-to-test {sha[:7]}") is None
    build = await workshop.build(sha)
    assert (build.state, build.untrusted) == (BuildState.QUEUED, True)
    assert await workshop.decisions(sha) == [HELD, ("approve", None), BUILT]
    preview = await workshop.preview("1")
    assert (preview.approved_sha, preview.approved_by, preview.held, preview.from_fork) == (sha, "ada", None, True)
    await workshop.finish(sha)
    newer = await workshop.push_to_fork("More")
    await workshop.act()
    await workshop.report()
    assert await workshop.decisions(newer) == [HELD]
    assert await workshop.builds(newer) == []
    assert (await workshop.statuses(newer))[-1].state == "pending"
    await say(workshop, f"/ok-to-test {newer}")
    assert (await workshop.build(newer)).untrusted
    assert await say(workshop, f"/ok-to-test {newer}") is None
    assert len(await workshop.builds(newer)) == 1


@pytest.mark.parametrize("role", ["triage", "read", None])
async def test_who_cannot_write_allows_nothing(workshop: Workshop, role: str | None) -> None:
    sha = await forked(workshop)
    await workshop.sandbox.create_user("carol")
    await workshop.sandbox.set_role("ada/demo", login="carol", role=role)  # type: ignore[arg-type]
    reason = "carol has no write access to the repository"
    delivery = await said(workshop, f"/ok-to-test {sha}", "carol")
    assert (delivery.state, delivery.reason) == (DeliveryState.IGNORED, reason)
    assert await workshop.builds(sha) == []
    await say(workshop, f"/ok-to-test {sha}", "bob")
    refused = [row for row in await workshop.decisions_of("1") if row.outcome == "refuse"]
    assert [(row.reason, row.actor, row.cause) for row in refused] == [
        (reason, "carol", "command"),
        ("bob has no write access to the repository", "bob", "command"),
    ]


@pytest.mark.parametrize("role", ["write", "maintain", "admin"])
async def test_who_can_write_may_allow(workshop: Workshop, role: str) -> None:
    sha = await forked(workshop)
    await workshop.sandbox.create_user("carol")
    await workshop.sandbox.set_role("ada/demo", login="carol", role=role)  # type: ignore[arg-type]
    await say(workshop, f"/ok-to-test {sha}", "carol")
    assert len(await workshop.builds(sha)) == 1


async def test_an_approval_of_what_is_not_the_head_is_refused(workshop: Workshop) -> None:
    old = await forked(workshop)
    new = await workshop.push_to_fork("Something else")
    await workshop.act()
    assert await say(workshop, f"/ok-to-test {old}") == (
        f"the approval was for commit {old[:7]}, and the head is commit {new[:7]}"
    )
    assert await say(workshop, "/ok-to-test") == f"an approval names the commit: /ok-to-test {new[:7]}"
    assert await workshop.builds(old) == await workshop.builds(new) == []
    assert [outcome for outcome, _ in await workshop.decisions(new)] == ["hold", "refuse", "refuse"]


async def test_a_push_in_the_middle_of_an_approval_is_not_allowed_with_it(workshop: Workshop) -> None:
    old = await forked(workshop)
    held = workshop.gate.hold("GET", "/collaborators/ada/permission$")
    await workshop.sandbox.comment("ada/demo", 1, author="ada", body=f"/ok-to-test {old}")
    await workshop.sandbox.settled()
    slow = asyncio.create_task(workshop.worker.step())
    await held.reached.wait()
    new = await workshop.push_to_fork("Quick")
    with contextlib.closing(GitHubClient.from_settings(workshop.settings)) as of_another_process:
        await DeliveryWorker(workshop.store, of_another_process, workshop.settings).step()
    held.released.set()
    await slow
    await workshop.skip_pauses()
    await workshop.act()
    assert await workshop.builds(old) == await workshop.builds(new) == []
    assert "refuse" in [outcome for outcome, _ in await workshop.decisions(new)]


async def test_whoever_comes_with_a_link_does_not_make_a_fork_trusted(workshop: Workshop) -> None:
    sha = await forked(workshop)
    preview = await workshop.preview("1")
    async with workshop.store.write() as session:
        build = await want_build(session, repository_id=preview.repository_id, sha=sha)
        assert build.untrusted
    # Merged, the same commit is built anew, as one of the repository's own.
    await workshop.push_ref(f"{sha}:refs/heads/main")
    await workshop.act()
    assert [row.untrusted for row in await workshop.builds(sha)] == [True, False]


async def test_a_pull_request_of_ones_own_needs_no_approval(workshop: Workshop) -> None:
    sha = await proposed(workshop)
    assert await say(workshop, f"/ok-to-test {sha}") == "the pull request is not from a fork: it needs no approval"


async def test_a_failed_build_is_made_again_when_somebody_asks(workshop: Workshop) -> None:
    sha = await proposed(workshop)
    await workshop.finish(sha, error=RepositoryFault("no"))
    await say(workshop, "/binder build", "bob")
    assert len(await workshop.builds(sha)) == 1
    await say(workshop, "/binder build")
    assert [row.state for row in await workshop.builds(sha)] == [BuildState.FAILED, BuildState.QUEUED]
    assert (await workshop.decisions(sha))[-1] == BUILT
    await say(workshop, "/binder build")
    assert len(await workshop.builds(sha)) == 2


async def test_what_is_held_is_built_when_somebody_asks_and_a_fork_is_not(workshop: Workshop) -> None:
    await workshop.finish(await _first(workshop))
    sha = await workshop.push("Typo [skip binder]", "change")
    await workshop.open_pull_request("change")
    await workshop.act()
    assert await workshop.builds(sha) == []
    await say(workshop, "/binder build")
    assert len(await workshop.builds(sha)) == 1
    assert (await workshop.preview("1")).held is None


async def test_asking_for_a_build_allows_no_fork(workshop: Workshop) -> None:
    sha = await forked(workshop)
    assert await say(workshop, "/binder build") == WAITS_FOR_APPROVAL
    assert await workshop.builds(sha) == []


async def test_a_cancelled_build_ends_and_stays_so_until_somebody_asks(workshop: Workshop) -> None:
    sha = await proposed(workshop)
    await say(workshop, "/binder cancel", "bob")
    assert (await workshop.build(sha)).state is BuildState.QUEUED
    await say(workshop, "/binder cancel")
    build = await workshop.build(sha)
    assert (build.state, build.fault and build.fault["message"]) == (BuildState.CANCELLED, "Cancelled by ada")
    assert (await workshop.statuses(sha))[-1].description == "Cancelled by ada"
    await workshop.happens(workshop.sandbox.set_label("ada/demo", 1, label="any"))
    assert len(await workshop.builds(sha)) == 1
    assert (await workshop.preview("1")).held == "cancelled by ada"
    await say(workshop, "/binder cancel")
    assert (await workshop.decisions(sha))[-1] == ("refuse", "no build of it is running")
    await say(workshop, "/binder build")
    assert [row.state for row in await workshop.builds(sha)] == [BuildState.CANCELLED, BuildState.QUEUED]


async def test_the_sessions_of_a_pull_request_are_stopped(workshop: Workshop) -> None:
    sha = await proposed(workshop)
    build = await workshop.finish(sha)
    main = await workshop.build((await workshop.preview("main")).head_sha)
    ids = [
        await workshop.add_session(build, SessionState.OPEN),
        await workshop.add_session(build, SessionState.STANDBY),
        await workshop.add_session(main, SessionState.OPEN),
    ]
    await say(workshop, "/binder stop", "bob")
    assert SessionState.ENDED not in (await workshop.session_states()).values()
    await say(workshop, "/binder stop")
    states = await workshop.session_states()
    assert [states[one] for one in ids] == [SessionState.ENDED, SessionState.ENDED, SessionState.OPEN]
    assert (await workshop.decisions(sha))[-1] == ("stop", "2 sessions ended")


async def test_nothing_is_done_for_a_pull_request_that_is_closed(workshop: Workshop) -> None:
    sha = await proposed(workshop)
    await workshop.happens(workshop.sandbox.close_pull_request("ada/demo", 1))
    assert await say(workshop, "/binder build") == "the pull request is not open"
    assert (await workshop.build(sha)).state is BuildState.QUEUED  # of the branch


async def test_what_an_edited_comment_says_counts_for_nothing(workshop: Workshop) -> None:
    sha = await forked(workshop)
    comment = await workshop.sandbox.comment("ada/demo", 1, author="ada", body="Nice")
    await workshop.happens(workshop.sandbox.edit_comment(comment.id, body=f"/ok-to-test {sha}"))
    assert await workshop.builds(sha) == []


# Buttons


async def check(workshop: Workshop, sha: str) -> int:
    """Show a check run with our buttons at a commit, as the reporter does; return its number."""
    preview = await workshop.preview("1")
    actions = [{"label": word, "description": word, "identifier": word} for word in ("approve", "rerun", "cancel")]
    asked = {
        "name": "binder/build",
        "head_sha": sha,
        "status": "completed",
        "conclusion": "action_required",
        "actions": actions,
    }
    (installation_id,) = workshop.sandbox.world.state.installations
    number = workshop.sandbox.world.repository("ada/demo").id
    assert preview.head_sha == sha
    _, answer = await workshop.client._as_installation(
        installation_id,
        lambda github: github.requester.requestJsonAndCheck("POST", f"/repositories/{number}/check-runs", input=asked),
    )
    return int(answer["id"])


async def last_press(workshop: Workshop) -> Delivery:
    """Return the last delivery that told of a button: our own check runs have others."""
    return [row for row in await workshop.rows(Delivery) if row.payload.get("action") == "requested_action"][-1]


async def press(workshop: Workshop, run: int, button: str, login: str) -> None:
    await workshop.happens(workshop.sandbox.press_button("ada/demo", run, button, login))


async def test_a_fork_is_allowed_by_a_button(workshop: Workshop) -> None:
    sha = await forked(workshop)
    run = await check(workshop, sha)
    await workshop.sandbox.create_user("carol")
    await workshop.sandbox.set_role("ada/demo", login="carol", role="write")
    await press(workshop, run, "approve", "carol")
    assert (await workshop.build(sha)).untrusted
    preview = await workshop.preview("1")
    assert (preview.approved_sha, preview.approved_by) == (sha, "carol")
    assert await workshop.decisions(sha) == [HELD, ("approve", None), BUILT]


async def test_a_button_of_an_older_commit_allows_nothing(workshop: Workshop) -> None:
    old = await forked(workshop)
    run = await check(workshop, old)
    new = await workshop.push_to_fork("Something else")
    await workshop.act()
    await press(workshop, run, "approve", "ada")
    delivery = await last_press(workshop)
    assert delivery.reason == f"commit {old[:7]} is not the head of any preview"
    assert await workshop.builds(old) == await workshop.builds(new) == []


async def test_a_button_that_the_head_has_left_behind_unseen(workshop: Workshop) -> None:
    old = await forked(workshop)
    run = await check(workshop, old)
    await workshop.sandbox.add_fault("vanished", event="pull_request")
    new = await workshop.push_to_fork("Something else")
    await press(workshop, run, "approve", "ada")
    delivery = await last_press(workshop)
    assert delivery.reason == f"the button was for commit {old[:7]}, and the head is commit {new[:7]}"
    assert await workshop.builds(old) == await workshop.builds(new) == []


async def test_a_failed_build_is_made_again_by_a_button(workshop: Workshop) -> None:
    sha = await proposed(workshop)
    await workshop.finish(sha, error=RepositoryFault("no"))
    run = await check(workshop, sha)
    await workshop.sandbox.set_role("ada/demo", login="bob", role="write")
    await workshop.sandbox.rerequest("ada/demo", run, "bob")
    await workshop.happens(workshop.sandbox.set_role("ada/demo", login="bob", role=None))
    assert len(await workshop.builds(sha)) == 1
    assert (await workshop.decisions(sha))[-1] == ("refuse", "bob has no write access to the repository")
    await workshop.happens(workshop.sandbox.rerequest("ada/demo", run, "ada"))
    assert len(await workshop.builds(sha)) == 2
    await press(workshop, run, "cancel", "ada")
    assert (await workshop.build(sha)).state is BuildState.CANCELLED
    await press(workshop, run, "rerun", "ada")
    assert [row.state for row in await workshop.builds(sha)] == [
        BuildState.FAILED,
        BuildState.CANCELLED,
        BuildState.QUEUED,
    ]
