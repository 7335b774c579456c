"""What GitHub is told, over real HTTP: everything that is owed, once, in order, whatever goes wrong."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from binder.errors import RepositoryFault
from binder.lifecycle import BuildState
from binder.store.queries import advance_build, want_build
from binder.store.tables import Build, Report, Repository, utc_now
from githubapp.comments import MARKER
from githubapp.reporter import Reporter
from githubapp.sandbox.faults import RequestFault
from tests.githubapp.workshop import SERVICE, Workshop

STATES = (BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING, BuildState.CHECKING, BuildState.SUCCEEDED)


async def states(workshop: Workshop, sha: str) -> list[str]:
    return [one.state for one in await workshop.statuses(sha)]


async def report_of(workshop: Workshop, kind: str) -> Report:
    (report,) = [row for row in await workshop.rows(Report) if row.kind == kind]
    return report


async def pushed(workshop: Workshop) -> str:
    """Return a commit whose build is queued, and GitHub not yet told."""
    sha = await workshop.push("First")
    await workshop.act()
    return sha


async def proposed(workshop: Workshop) -> tuple[str, int]:
    """Return a commit and its pull request; the base is built and reported."""
    await workshop.finish(await pushed(workshop))
    sha = await workshop.push("Second", "change")
    number = await workshop.open_pull_request("change")
    await workshop.act()
    return sha, number


async def build_silently(workshop: Workshop, sha: str) -> None:
    """Build to the end before GitHub is told anything."""
    async with workshop.store.write() as session:
        build = (await session.scalars(select(Build).where(Build.sha == sha))).one()
        for state in STATES:
            advance_build(build, state, utc_now())


async def test_a_push_becomes_green_in_three_writes(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.report()
    build = await workshop.finish(sha)
    page = f"{SERVICE}/builds/{build.id}"
    queued, building, ready = await workshop.statuses(sha)
    assert (queued.state, queued.description, queued.target_url) == ("pending", "Queued", page)
    assert (building.state, building.description, building.target_url) == ("pending", "Building …", page)
    assert (ready.state, ready.target_url) == ("success", f"{SERVICE}/v2/gh/ada/demo/{sha}?urlpath=lab")
    assert {one.context for one in (queued, building, ready)} == {"binder"}
    assert not await workshop.reporter.step()


async def test_a_build_that_goes_back_to_the_queue_still_takes_three_writes(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.report()
    build = await workshop.build(sha)
    for state in (BuildState.FETCHING, BuildState.BUILDING, BuildState.QUEUED):
        await workshop.move(build.id, state)
    await workshop.finish(sha)
    assert await states(workshop, sha) == ["pending", "pending", "success"]


async def test_what_was_replaced_before_it_was_sent_is_never_sent(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await build_silently(workshop, sha)
    await workshop.report()
    assert await states(workshop, sha) == ["success"]


async def test_a_failure_names_the_line_and_links_to_the_log(workshop: Workshop) -> None:
    sha, number = await proposed(workshop)
    fault = RepositoryFault("no version of nosuchpackage [x](y) @ada", file="requirements.txt", line=3)
    build = await workshop.finish(sha, error=fault)
    last = (await workshop.statuses(sha))[-1]
    assert last.state == "failure"
    assert last.description == "Build failed: requirements.txt line 3: no version of nosuchpackage [x](y) @ada"
    assert last.target_url == f"{SERVICE}/builds/{build.id}"
    (comment,) = workshop.comments(number)
    assert "` requirements.txt line 3: no version of nosuchpackage [x](y) @ada `" in comment.body


async def test_a_visitors_second_try_turns_the_commit_green(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.finish(sha, error=RepositoryFault("no", file="requirements.txt"))
    (repository,) = await workshop.rows(Repository)
    async with workshop.store.write() as session:
        await want_build(session, repository_id=repository.id, sha=sha, again=True)
    await workshop.finish(sha)
    assert (await states(workshop, sha))[-1] == "success"


async def test_a_build_that_only_a_visitor_wants_is_not_reported(workshop: Workshop) -> None:
    old = await workshop.push("First")
    await workshop.push("Second")
    await workshop.act()
    (repository,) = await workshop.rows(Repository)
    async with workshop.store.write() as session:
        await want_build(session, repository_id=repository.id, sha=old)
    await workshop.finish(old)
    assert await states(workshop, old) == []


async def test_one_comment_is_edited_in_place(workshop: Workshop) -> None:
    sha, number = await proposed(workshop)
    await workshop.report()
    (first,) = workshop.comments(number)
    assert first.author == workshop.app.bot
    assert first.body.startswith(MARKER)
    assert "is being built" in first.body
    await workshop.finish(sha)
    (ready,) = workshop.comments(number)
    assert (ready.id, f"/v2/gh/ada/demo/{sha}" in ready.body) == (first.id, True)
    newer = await workshop.push("Third", "change")
    await workshop.act()
    await workshop.finish(newer)
    (newest,) = workshop.comments(number)
    assert (newest.id, newer in newest.body, sha in newest.body) == (first.id, True, False)
    edits = [one for one in workshop.gate.seen if one.startswith("PATCH")]
    assert len(edits) == 3  # ready, being built, ready


async def test_statuses_go_out_before_comments(workshop: Workshop) -> None:
    sha, _ = await proposed(workshop)
    await build_silently(workshop, sha)
    workshop.gate.seen.clear()
    await workshop.report()
    kinds = [one.rsplit("/", 2)[-2] if "statuses" in one else one.rsplit("/", 1)[-1] for one in workshop.gate.seen]
    assert kinds == ["statuses", "comments"]


async def test_a_closed_pull_request_is_told_that_its_preview_is_gone(workshop: Workshop) -> None:
    sha, number = await proposed(workshop)
    await workshop.finish(sha)
    await workshop.sandbox.close_pull_request("ada/demo", number)
    await workshop.sandbox.settled()
    await workshop.act()
    await workshop.report()
    (comment,) = workshop.comments(number)
    assert "The preview was removed" in comment.body
    assert (await states(workshop, sha))[-1] == "success"
    await workshop.sandbox.reopen_pull_request("ada/demo", number)
    await workshop.sandbox.settled()
    await workshop.act()
    await workshop.report()
    (again,) = workshop.comments(number)
    assert (again.id, "The preview is ready" in again.body) == (comment.id, True)


async def test_nothing_is_said_to_a_pull_request_that_was_closed_at_once(workshop: Workshop) -> None:
    _, number = await proposed(workshop)
    await workshop.sandbox.close_pull_request("ada/demo", number)
    await workshop.sandbox.settled()
    await workshop.act()
    await workshop.report()
    assert workshop.comments(number) == []
    assert not (await report_of(workshop, "comment")).owed


async def test_an_error_after_the_effect_makes_no_second_status(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.sandbox.add_fault("fail_after_effect", method="POST", path="/statuses/", status=502)
    await workshop.report()
    report = await report_of(workshop, "status")
    assert (report.owed, report.attempts, report.reason) == (True, 1, "GitHub answered 502.")
    assert report.not_before
    assert report.not_before > utc_now()
    await workshop.skip_pauses()
    await workshop.report()
    assert await states(workshop, sha) == ["pending"]
    assert not (await report_of(workshop, "status")).owed


async def test_an_error_after_the_effect_makes_no_second_comment(workshop: Workshop) -> None:
    sha, number = await proposed(workshop)
    await workshop.sandbox.add_fault("fail_after_effect", method="POST", path="/issues/.*/comments", status=502)
    await workshop.finish(sha)
    await workshop.skip_pauses()
    await workshop.report()
    (comment,) = workshop.comments(number)
    assert "The preview is ready" in comment.body


async def test_a_status_that_had_no_effect_is_sent_again(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.sandbox.add_fault("status", method="POST", path="/statuses/", status=500, count=3)
    for _ in range(4):
        await workshop.report()
        await workshop.skip_pauses()
    assert await states(workshop, sha) == ["pending"]


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize("kind", ["rate_limited", "secondary_rate_limited"])
async def test_a_rate_limit_puts_off_all_of_the_installation(
    workshop: Workshop, kind: RequestFault, status: int
) -> None:
    first = await workshop.push("First")
    second = await workshop.push("Second", "change")
    await workshop.act()
    await workshop.sandbox.add_fault(kind, method="POST", path="/statuses/", status=status, retry_after_seconds=40)
    await workshop.report()
    assert await states(workshop, first) == await states(workshop, second) == []
    assert workshop.gate.seen[-1].endswith(first)
    earliest, latest = utc_now() + timedelta(seconds=30), utc_now() + timedelta(seconds=45)
    assert all(row.not_before and earliest < row.not_before < latest for row in await workshop.rows(Report))
    await workshop.skip_pauses()
    await workshop.report()
    assert await states(workshop, first) == await states(workshop, second) == ["pending"]


async def test_a_permission_that_was_lost_is_recorded_and_not_asked_for_again(workshop: Workshop) -> None:
    sha, _ = await proposed(workshop)
    refusal, path = "Resource not accessible by integration", "/issues/.*/comments"
    await workshop.sandbox.add_fault("status", method="POST", path=path, status=403, message=refusal, count=10)
    await workshop.finish(sha)
    report = await report_of(workshop, "comment")
    assert (report.owed, report.sent) == (False, None)
    assert report.reason == f"GitHub answered 403: {refusal}"
    assert (await states(workshop, sha))[-1] == "success"
    assert not await workshop.reporter.step()
    # Once for each thing that there was to say.
    assert len([one for one in workshop.gate.seen if one.startswith("POST") and one.endswith("comments")]) == 2


async def test_a_comment_that_a_person_deleted_is_not_written_again(workshop: Workshop) -> None:
    sha, number = await proposed(workshop)
    await workshop.report()
    (comment,) = workshop.comments(number)
    await workshop.sandbox.delete_comment(comment.id, sender="ada")
    await workshop.finish(sha)
    assert workshop.comments(number) == []
    assert (await report_of(workshop, "comment")).reason == "GitHub answered 404: Not Found"


async def test_where_the_app_was_removed_nobody_is_told(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.sandbox.uninstall(workshop.app.app_id, account="ada")
    await workshop.report()
    report = await report_of(workshop, "status")
    assert (report.owed, report.reason) == (False, "GitHub answered 404: Not Found")
    assert await states(workshop, sha) == []


async def test_what_changes_while_it_is_sent_is_sent_after_it(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    held = workshop.gate.hold("POST", "/statuses/")
    sending = asyncio.create_task(workshop.reporter.step())
    await held.reached.wait()
    await build_silently(workshop, sha)
    other = Reporter(workshop.store, workshop.client, workshop.settings)
    assert await other.step()  # sees the change, and leaves the report to whoever is at it
    assert not await other.step()
    held.released.set()
    await sending
    await workshop.report()
    assert await states(workshop, sha) == ["pending", "success"]


async def test_a_new_process_sees_what_ended_while_none_was_there(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.report()
    workshop.reporter = Reporter(workshop.store, workshop.client, workshop.settings)
    await build_silently(workshop, sha)
    await workshop.report()
    assert await states(workshop, sha) == ["pending", "success"]


async def test_what_was_told_is_not_told_again_in_other_words(workshop: Workshop) -> None:
    old = await pushed(workshop)
    await workshop.report()
    sha = await workshop.push("Second")
    await workshop.act()
    await workshop.finish(sha)
    await workshop.push("Third")
    await workshop.act()
    await workshop.report()
    workshop.gate.seen.clear()
    moved = workshop.settings.model_copy(update={"url": "https://elsewhere.example.org"})
    workshop.reporter = Reporter(workshop.store, workshop.client, moved)
    await workshop.report()
    told = {one.rsplit("/", 1)[-1] for one in workshop.gate.seen}
    assert told.isdisjoint({old, sha})


async def test_several_reporters_tell_everything_once(workshop: Workshop) -> None:
    shas = [await workshop.push(f"Change {number}", f"branch-{number}") for number in range(5)]
    await workshop.act()
    reporters = [Reporter(workshop.store, workshop.client, workshop.settings) for _ in range(3)]

    async def run(reporter: Reporter) -> None:
        while await reporter.step():
            pass

    await asyncio.gather(*(run(reporter) for reporter in reporters))
    assert [await states(workshop, sha) for sha in shas] == [["pending"]] * 5
