"""What GitHub is told, over real HTTP: everything that is owed, once, in order, whatever goes wrong."""

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from binder.errors import RepositoryFault
from binder.lifecycle import BuildState
from binder.store.queries import advance_build, want_build
from binder.store.tables import Build, Installation, Preview, Report, Repository, utc_now
from githubapp.comments import MARKER
from githubapp.owed import owe_again
from githubapp.reporter import Reporter
from githubapp.reports import Addresses
from githubapp.sandbox.faults import RequestFault
from githubapp.watch import BuildWatch
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


async def tell_again(workshop: Workshop) -> None:
    """Tell GitHub what it refused, as when the owner grants a permission."""
    async with workshop.store.write() as session:
        repository = (await session.scalars(select(Repository))).one()
        await owe_again(session, repository, Addresses(SERVICE, workshop.settings.github_url))
    await workshop.report()


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
    assert (building.description, building.target_url) == ("Building: 1 of 1 layers re-used", page)
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
    assert last.target_url == f"{SERVICE}/builds/{build.id}#at-fault"
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
    edits = [one for one in workshop.gate.seen if one.startswith("PATCH") and "comments" in one]
    assert len(edits) == 3  # ready, being built, ready


async def test_what_is_most_important_goes_out_first(workshop: Workshop) -> None:
    sha, _ = await proposed(workshop)
    await build_silently(workshop, sha)
    workshop.gate.seen.clear()
    await workshop.report()
    kinds = [
        re.search(r"statuses/\w{40}|check-runs|deployments$|deployments/|comments", one) for one in workshop.gate.seen
    ]
    assert [kind[0][:9] for kind in kinds if kind] == ["statuses/", "check-run", "deploymen", "deploymen", "comments"]


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
    assert len([one for one in workshop.gate.seen if one.startswith("POST") and one.endswith("comments")]) == 1
    assert (await workshop.check(sha)).conclusion == "success"
    assert (await workshop.deployed(sha))[-1] == "success"


async def test_what_was_not_permitted_is_told_once_it_is(workshop: Workshop) -> None:
    sandbox, app = workshop.sandbox, workshop.app
    granted = dict(sandbox.world.state.apps[app.app_id].permissions)
    events = sandbox.world.state.apps[app.app_id].events
    await allow(workshop, {name: level for name, level in granted.items() if name != "checks"}, events)
    sha = await pushed(workshop)
    await workshop.finish(sha)
    assert (await states(workshop, sha))[-1] == "success"
    assert await sandbox.check_runs("ada/demo", sha=sha) == []
    assert (await report_of(workshop, "check")).reason == "GitHub answered 403: Resource not accessible by integration"
    await allow(workshop, granted, events)
    await workshop.report()
    assert (await workshop.check(sha)).conclusion == "success"


async def allow(workshop: Workshop, permissions: dict[str, str], events: Sequence[str]) -> None:
    """Have the App ask for these permissions, and Ada grant them."""
    await workshop.sandbox.set_permissions(workshop.app.app_id, permissions=permissions, events=events)
    await workshop.sandbox.accept_permissions(workshop.app.app_id, account="ada")
    await workshop.sandbox.settled()
    await workshop.act()


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
    addresses = Addresses(SERVICE, workshop.settings.github_url)
    assert await BuildWatch(workshop.store, addresses).note_changes()
    other = asyncio.create_task(workshop.reporter.step())  # leaves the status to whoever is at it
    held.released.set()
    await asyncio.gather(sending, other)
    await workshop.report()
    assert await states(workshop, sha) == ["pending", "success"]
    assert (await workshop.check(sha)).conclusion == "success"


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


# Check runs and deployments


async def test_a_check_run_goes_along(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.report()
    queued = await workshop.check(sha)
    build = await workshop.finish(sha)
    ready = await workshop.check(sha)
    assert (queued.name, queued.status, queued.conclusion) == ("binder/build", "queued", None)
    assert (ready.id, ready.status, ready.conclusion) == (queued.id, "completed", "success")
    assert (ready.external_id, ready.details_url) == (str(build.id), f"{SERVICE}/builds/{build.id}")
    writes = [one for one in workshop.gate.seen if "check-runs" in one]
    assert len(writes) == 3


async def test_a_check_run_notes_the_line_at_fault_once_and_the_next_attempt_is_another_run(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.sandbox.add_fault("fail_after_effect", method="PATCH", path="/check-runs/", status=502, count=2)
    await workshop.finish(sha, error=RepositoryFault("no such package", file="requirements.txt", line=3))
    for _ in range(3):
        await workshop.skip_pauses()
        await workshop.report()
    failed = await workshop.check(sha)
    (note,) = failed.annotations
    assert (note["path"], note["start_line"], note["message"]) == ("requirements.txt", 3, "no such package")
    assert [one.identifier for one in failed.actions] == ["rerun"]
    (repository,) = await workshop.rows(Repository)
    async with workshop.store.write() as session:
        await want_build(session, repository_id=repository.id, sha=sha, again=True)
    await workshop.finish(sha)
    ready = await workshop.check(sha)
    assert (ready.id != failed.id, ready.conclusion, ready.annotations) == (True, "success", ())


async def test_an_error_after_the_effect_makes_no_second_check_run(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.sandbox.add_fault("fail_after_effect", method="POST", path="/check-runs", status=502)
    await workshop.report()
    # What is wanted has changed before it is tried again: it is looked for all the same.
    await build_silently(workshop, sha)
    await workshop.skip_pauses()
    await workshop.report()
    assert (await workshop.check(sha)).conclusion == "success"
    assert len([one for one in workshop.gate.seen if one.startswith("POST") and "check-runs" in one]) == 1


async def test_a_deployment_follows_the_build_and_ends_with_the_next_commit(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.report()
    assert await workshop.deployed(sha) == []
    await workshop.finish(sha)
    (deployment,) = await workshop.sandbox.deployments("ada/demo", sha=sha)
    assert (deployment.environment, deployment.transient, deployment.production) == ("binder-preview", True, False)
    assert deployment.statuses[-1].environment_url == f"{SERVICE}/v2/gh/ada/demo/{sha}?urlpath=lab"
    newer = await workshop.push("Second")
    await workshop.act()
    await workshop.finish(newer)
    assert await workshop.deployed(sha) == ["in_progress", "success", "inactive"]
    assert await workshop.deployed(newer) == ["in_progress", "success"]


@pytest.mark.parametrize("path", ["/deployments$", "/deployments/.*/statuses"])
async def test_an_error_after_the_effect_makes_no_second_deployment(workshop: Workshop, path: str) -> None:
    sha = await pushed(workshop)
    await build_silently(workshop, sha)
    await workshop.sandbox.add_fault("fail_after_effect", method="POST", path=path, status=502)
    await workshop.report()
    await workshop.skip_pauses()
    await workshop.report()
    assert await workshop.deployed(sha) == ["success"]


async def test_a_deployment_that_failed_says_so_and_one_that_never_was_is_not_ended(workshop: Workshop) -> None:
    sha, number = await proposed(workshop)
    await workshop.finish(sha, error=RepositoryFault("no", file="requirements.txt"))
    assert (await workshop.deployed(sha))[-1] == "failure"
    waiting = await workshop.push("Third", "change")
    await workshop.act()
    await workshop.report()
    await workshop.sandbox.close_pull_request("ada/demo", number)
    await workshop.push_ref(":refs/heads/change")
    await workshop.act()
    await workshop.report()
    assert await workshop.deployed(waiting) == []


# Choices, and what pull requests show


async def choose(workshop: Workshop, **values: object) -> None:
    """Change the rows of all previews, as what GitHub says of them would."""
    async with workshop.store.write() as session:
        await session.execute(update(Preview).values(**values))


async def test_a_repository_may_want_neither_comments_nor_deployments(workshop: Workshop) -> None:
    sha, number = await proposed(workshop)
    await choose(workshop, choices={"comment": False, "deployment": False})
    build = await workshop.build(sha)
    async with workshop.store.write() as session:
        await session.execute(delete(Report))
    await workshop.move(build.id, BuildState.FETCHING)
    await workshop.move(build.id, BuildState.BUILDING)
    assert (await states(workshop, sha), await workshop.deployed(sha)) == (["pending", "pending"], [])
    assert (await workshop.check(sha)).status == "in_progress"
    assert workshop.comments(number) == []


async def test_the_comment_compares_with_the_base_and_is_edited_only_when_its_state_changes(workshop: Workshop) -> None:
    base = await pushed(workshop)
    await workshop.finish(base)
    sha = await workshop.push("Second", "change")
    number = await workshop.open_pull_request("change")
    await workshop.act()
    await choose(workshop, facts={"base_sha": base, "base_ref": "main", "notebooks": ["a b.ipynb"]})
    await workshop.finish(sha)
    (ready,) = workshop.comments(number)
    assert f"/v2/gh/ada/demo/{sha}?labpath=a%20b.ipynb" in ready.body
    assert f"[before]({SERVICE}/v2/gh/ada/demo/{base}?labpath=a%20b.ipynb)" in ready.body
    assert "| Build | " in ready.body
    await choose(workshop, facts={"base_sha": base, "notebooks": ["other.ipynb"], "labels": ["new"]})
    workshop.gate.seen.clear()
    await tell_again(workshop)
    assert [one for one in workshop.gate.seen if "comments" in one] == []
    failing = await workshop.push("Third", "change")
    await workshop.act()
    await workshop.finish(failing, error=RepositoryFault("no", file="apt.txt"))
    (failed,) = workshop.comments(number)
    assert f"The last preview that works: [commit `{sha[:7]}`]" in failed.body


async def test_a_fork_waits_in_the_status_the_check_and_the_comment(workshop: Workshop) -> None:
    await workshop.finish(await pushed(workshop))
    sha = await workshop.fork()
    number = await workshop.open_pull_request("bob:theirs", "bob")
    await workshop.act()
    await workshop.report()
    assert await states(workshop, sha) == ["pending"]
    check = await workshop.check(sha)
    assert (check.conclusion, [one.identifier for one in check.actions]) == ("action_required", ["approve"])
    (comment,) = workshop.comments(number)
    assert f"/ok-to-test {sha}" in comment.body
    assert await workshop.deployed(sha) == []
    newer = await workshop.push_to_fork("More")
    await workshop.act()
    await workshop.report()
    assert (await workshop.check(sha)).conclusion == "cancelled"
    assert (await workshop.check(newer)).conclusion == "action_required"
    await workshop.sandbox.close_pull_request("ada/demo", number)
    await workshop.sandbox.settled()
    await workshop.act()
    await workshop.report()
    assert (await states(workshop, newer))[-1] == "error"
    assert (await workshop.check(newer)).title == "Cancelled: the pull request was closed"


# How much


async def test_a_suspended_installation_waits_and_loses_nothing(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.sandbox.set_suspended(workshop.app.app_id, account="ada", suspended=True)
    await workshop.report()
    assert (await report_of(workshop, "status")).owed
    async with workshop.store.write() as session:
        await session.execute(update(Installation).values(suspended=True))
    await workshop.skip_pauses()
    workshop.gate.seen.clear()
    await workshop.report()
    assert workshop.gate.seen == []
    await workshop.sandbox.set_suspended(workshop.app.app_id, account="ada", suspended=False)
    async with workshop.store.write() as session:
        await session.execute(update(Installation).values(suspended=False))
    await workshop.report()
    assert await states(workshop, sha) == ["pending"]


async def test_a_burst_is_held_back(workshop: Workshop) -> None:
    await workshop.finish(await pushed(workshop))
    (repository,) = await workshop.rows(Repository)
    wanted = {"state": "pending", "description": "Queued", "target_url": None, "context": "binder", "build": 1}
    async with workshop.store.write() as session:
        for number in range(80):
            session.add(Report(repository_id=repository.id, kind="status", subject=f"{number:040x}", wanted=wanted))
    workshop.gate.seen.clear()
    await workshop.report()
    # Of sixty a minute, three statuses, three changes of the check run, and two of the deployment, which count twice.
    assert len(workshop.gate.seen) == 50
    assert len([row for row in await workshop.rows(Report) if row.owed]) == 30


async def test_what_was_sent_before_is_sent_again_where_the_end_of_another_attempt_is_not_known(
    workshop: Workshop,
) -> None:
    """A fork's commit waits, is left behind, and waits again, while the first end is told and not confirmed."""
    await workshop.push("First", README="# Hello")
    waits = await workshop.fork()
    await workshop.open_pull_request("bob:theirs", author="bob")
    await workshop.act()
    await workshop.report()
    await workshop.push_to_fork("Another one")
    await workshop.act()
    await workshop.sandbox.add_fault("fail_after_effect", method="POST", path=f"/statuses/{waits}", status=502)
    await workshop.report()
    assert await states(workshop, waits) == ["pending", "error"]
    await workshop.checkout.git("checkout", "--quiet", "-B", "theirs", waits)
    await workshop.checkout.push(workshop.sandbox.clone_url("bob/demo", login="bob"), "+HEAD:refs/heads/theirs")
    await workshop.happens()
    assert await states(workshop, waits) == ["pending", "error", "pending"]


async def test_an_attempt_that_had_its_effect_is_not_repeated_once_all_is_owed_again(workshop: Workshop) -> None:
    sha = await pushed(workshop)
    await workshop.report()
    await build_silently(workshop, sha)
    await workshop.sandbox.add_fault("fail_after_effect", method="POST", path="/statuses/", status=502)
    await workshop.report()
    app_id = workshop.app.app_id
    await workshop.happens(workshop.sandbox.set_suspended(app_id, account="ada", suspended=True))
    await workshop.happens(workshop.sandbox.set_suspended(app_id, account="ada", suspended=False))
    await workshop.compare()
    await workshop.report()
    assert await states(workshop, sha) == ["pending", "success"]


async def test_where_github_takes_no_more_statuses_the_rest_is_told_all_the_same(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("githubapp.sandbox.rest_repositories.MOST_STATUSES", 1)
    sha = await pushed(workshop)
    await workshop.report()
    await workshop.finish(sha)
    assert await states(workshop, sha) == ["pending"]
    status = await report_of(workshop, "status")
    assert not status.owed
    assert "maximum number of statuses" in (status.reason or "")
    check = await report_of(workshop, "check")
    assert (check.owed, (check.sent or {})["conclusion"]) == (False, "success")
