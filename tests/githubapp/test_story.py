"""The story of commits that really were pushed, superseded, allowed, built and reported, as the operator reads it."""

import asyncio
import json
import os
import sys
from typing import Any

from binder.lifecycle import BuildState, SessionState
from binder.store.queries import advance_session
from binder.store.tables import Session, utc_now
from tests.githubapp.workshop import Workshop


async def why(workshop: Workshop, *arguments: str) -> str:
    """Run `binder why` beside the service, and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "binder", "why", *arguments),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "BINDER_STATE_DIR": str(workshop.settings.state_dir), "COLUMNS": "160"},
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def story(workshop: Workshop, sha: str) -> list[tuple[str, str]]:
    """Return the kind of each event and what happened, and see that their times follow each other."""
    told: dict[str, Any] = json.loads(await why(workshop, sha[:7], "--json"))
    assert (told["repository"], told["sha"], told["is_whole"]) == ("ada/demo", sha, True)
    times = [event["at"] for event in told["events"]]
    assert times == sorted(times)
    assert told["events"][0]["after_seconds"] is None
    assert all(event["after_seconds"] >= 0 for event in told["events"][1:])
    return [(event["kind"], event["what"]) for event in told["events"]]


async def run_session(workshop: Workshop, sha: str) -> Session:
    """Have a standby of a commit proven, opened and ended."""
    session_id = await workshop.add_session(await workshop.build(sha), SessionState.STARTING)
    async with workshop.store.write() as transaction:
        row = await transaction.get_one(Session, session_id)
        for state in (SessionState.STANDBY, SessionState.OPEN):
            advance_session(row, state, utc_now())
        advance_session(row, SessionState.ENDED, utc_now(), reason="Nobody used it.")
        return row


async def test_a_commit_that_was_superseded_and_the_one_that_took_its_place(workshop: Workshop) -> None:
    old = await workshop.push("First")
    await workshop.act()
    await workshop.move((await workshop.build(old)).id, BuildState.FETCHING)
    new = await workshop.push("Second")
    await workshop.act()
    await workshop.finish(new)
    session = await run_session(workshop, new)
    number_of_old, number_of_new = (await workshop.build(old)).id, (await workshop.build(new)).id
    assert await story(workshop, old) == [
        ("delivery", "create received"),
        ("delivery", "push received"),
        ("decision", "Decided to build it"),
        ("build", f"Build {number_of_old} queued"),
        ("decision", "Nothing new"),
        ("build", f"Build {number_of_old} started"),
        ("delivery", "push received"),
        ("decision", "The build was ended"),
        ("build", f"Build {number_of_old} superseded"),
        ("report", "Status: error"),
        ("report", "Check: cancelled"),
    ]
    told = await why(workshop, old)
    assert f"it told of commit {new[:7]}" in told
    assert f"Superseded by {new[:7]}" in told
    assert "because of a delivery by ada" in told
    happened = await story(workshop, new)
    assert happened[:4] == [
        ("delivery", "push received"),
        ("decision", "Decided to build it"),
        ("build", f"Build {number_of_new} queued"),
        ("build", f"Build {number_of_new} started"),
    ]
    assert ("build", f"Build {number_of_new} succeeded") in happened
    assert ("report", "Status: success") in happened
    assert happened[-4:] == [
        ("session", "Session wanted"),
        ("session", "Standby proven: a kernel answered"),
        ("session", "Session opened by a visitor"),
        ("session", "Session ended"),
    ]
    told = await why(workshop, new)
    assert "1 of 1 layers re-used" in told
    assert "GitHub was told" in told
    assert "Nobody used it." in told
    assert session.id in told
    assert session.token not in told


async def test_a_commit_of_a_fork_that_waits_and_is_allowed(workshop: Workshop) -> None:
    await workshop.push("First")
    sha = await workshop.fork()
    await workshop.open_pull_request("bob:theirs", author="bob")
    await workshop.act()
    await workshop.report()
    assert await story(workshop, sha) == [
        ("delivery", "pull_request.opened received"),
        ("decision", "Held back: not built"),
        ("report", "Status: pending"),
        ("report", "Check: action_required"),
        ("report", "Comment: The preview waits for approval"),
    ]
    for author in ("bob", "ada"):
        await workshop.happens(
            workshop.sandbox.comment("ada/demo", 1, author=author, body=f"/ok-to-test {sha}"),
        )
    await workshop.finish(sha)
    number = (await workshop.build(sha)).id
    happened = await story(workshop, sha)
    assert happened[:6] == [
        ("delivery", "pull_request.opened received"),
        ("decision", "Held back: not built"),
        ("delivery", "issue_comment.created received"),
        ("decision", "Refused"),
        ("delivery", "issue_comment.created received"),
        ("decision", "Approved"),
    ]
    assert ("build", f"Build {number} succeeded") in happened
    assert {what for kind, what in happened if kind == "report"} == {
        "Status: success",
        "Check: success",
        "Deployment: success",
        "Comment: The preview is ready",
    }
    told = await why(workshop, sha)
    assert "bob has no write access to the repository" in told
    assert "because of a comment by ada" in told
    assert "of a fork: without secrets" in told
    assert "on pull request 1" in told


async def test_a_commit_whose_delivery_waits_or_failed_has_a_story(workshop: Workshop) -> None:
    await workshop.push("First")
    await workshop.act()
    waiting = await workshop.push("Second")
    assert await story(workshop, waiting) == [("delivery", "push received")]
    assert "waits for its turn" in await why(workshop, waiting)
