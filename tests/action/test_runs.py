"""The action as a workflow meets it: what it prints, sets and leaves, for each way in which a build may end."""

import asyncio
import signal
from typing import Any

import pytest
from sqlalchemy import select

from binder.lifecycle import BuildState
from binder.store.tables import Build, NotebookRun, utc_now
from tests.action.runner import CANCEL_SECONDS, GITHUB_TOKEN, Runner
from tests.proxy.jobs import FULL_NAME, JobStage
from tests.proxy.rows import IMAGE, SHA, add_build, add_log
from tests.proxy.streaming import advance

WORK = (BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING, BuildState.CHECKING)
FAULT = {"party": "repository", "message": "There is no package sixx.", "file": "requirements.txt", "line": 3}


async def queued(stage: JobStage) -> Build:
    """Return the build that the job asked for, once it did."""
    async with asyncio.timeout(30):
        while True:
            async with stage.store.read() as session:
                if found := (await session.scalars(select(Build))).first():
                    return found
            await asyncio.sleep(0.05)


async def fail(stage: JobStage, build: Build, fault: dict[str, Any]) -> None:
    async with stage.store.write() as session:
        row = await session.get_one(Build, build.id)
        row.state, row.fault, row.finished_at = BuildState.FAILED, fault, utc_now()


async def test_a_build_is_followed_to_its_link(stage: JobStage, runner: Runner, heard: list[str]) -> None:
    await stage.install()
    async with runner.started() as step:
        build = await queued(stage)
        await step.prints("Waiting for its turn")
        await add_log(
            stage.store, build, "==> Fetching the commit  [09:05:00]\n1 file\n==> Resolving  [09:05:01]\nsix 1.17\n"
        )
        await advance(stage.context, build, *WORK)
        await step.prints("six 1.17")
        await advance(stage.context, build, BuildState.SUCCEEDED)
        ran = await step.ended()
    assert ran.code == 0, ran.printed
    url = f"{stage.settings.url}/v2/gh/{FULL_NAME}/{SHA}"
    assert {name: ran.outputs[name] for name in ("status", "url", "image", "build-id", "reused")} == {
        "status": "success", "url": url, "image": IMAGE, "build-id": str(build.id), "reused": "false"
    }  # fmt: skip
    assert ran.outputs["duration"].isdigit()
    assert [one.message for one in ran.told("group")] == ["Fetching the commit", "Resolving"]
    assert len(ran.told("endgroup")) == 2
    assert [(one.message, one.properties["title"]) for one in ran.told("notice")] == [
        (url, "Binder: The notebooks can be opened")
    ]
    assert f"[Open the notebooks]({url})" in ran.summary
    assert f"[Log of the build]({stage.settings.url}/builds/{build.id})" in ran.summary
    # What proves the job, and what it follows its build by, is masked before anything else could print it.
    assert len(ran.told("add-mask")) == 2
    assert GITHUB_TOKEN not in "".join(heard)
    assert runner.secret not in "".join(heard)


async def test_what_is_there_is_given_at_once(stage: JobStage, runner: Runner) -> None:
    build = await add_build(stage.store, await stage.install(), finished_at=utc_now())
    await add_log(stage.store, build, "of another day\n")
    ran = await runner.run()
    assert (ran.code, ran.outputs["status"], ran.outputs["reused"]) == (0, "success", "true"), ran.printed
    assert "of another day" not in ran.printed


@pytest.mark.parametrize(
    ("party", "fail_on", "code", "kind"),
    [
        ("repository", "failure", 1, "error"),
        ("repository", "repository", 1, "error"),
        ("repository", "never", 0, "warning"),
        ("world", "failure", 1, "error"),
        ("world", "repository", 0, "warning"),
    ],
)
async def test_the_line_at_fault_is_annotated(
    stage: JobStage, runner: Runner, party: str, fail_on: str, code: int, kind: str
) -> None:
    await add_build(
        stage.store, await stage.install(), BuildState.FAILED, fault=FAULT | {"party": party}, finished_at=utc_now()
    )
    ran = await runner.run(fail_on=fail_on)
    assert (ran.code, ran.outputs["status"], ran.outputs["url"]) == (code, "failure", ""), ran.printed
    (told,) = ran.told("error", "warning", "notice")
    assert (told.name, told.message) == (kind, "There is no package sixx.")
    assert told.properties == {"title": "Binder: The build failed", "file": "requirements.txt", "line": "3"}
    assert "` There is no package sixx. ` in ` requirements.txt line 3 `" in ran.summary


async def test_a_newer_commit_is_no_failure(stage: JobStage, runner: Runner) -> None:
    fault = {"party": "repository", "message": "Superseded by abc1234"}
    await stage.install()
    async with runner.started() as step:
        build = await queued(stage)
        async with stage.store.write() as session:
            row = await session.get_one(Build, build.id)
            row.state, row.fault, row.finished_at = BuildState.SUPERSEDED, fault, utc_now()
        ran = await step.ended()
    assert (ran.code, ran.outputs["status"]) == (0, "superseded"), ran.printed


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
async def test_a_job_that_is_cancelled_cancels_its_build(stage: JobStage, runner: Runner, by: signal.Signals) -> None:
    await stage.install()
    async with runner.started() as step:
        build = await queued(stage)
        await step.prints("Waiting for its turn")
        ran = await step.cancelled(by)
    assert (ran.code, ran.outputs) == (130, {"status": "cancelled"}), ran.printed
    assert "The build was cancelled." in ran.printed
    assert ran.seconds < CANCEL_SECONDS
    async with stage.store.read() as session:
        assert (await session.get_one(Build, build.id)).state is BuildState.CANCELLED


async def test_a_job_that_is_cancelled_while_it_asks_cancels_what_it_asked_for(stage: JobStage, runner: Runner) -> None:
    await stage.install()
    await stage.sandbox.add_fault("slow", seconds=1.0, path="/_services/token/.well-known/jwks")
    async with runner.started() as step:
        await step.prints("add-mask")
        ran = await step.cancelled(signal.SIGINT)
    assert ran.seconds < CANCEL_SECONDS
    assert [build.state for build in [await queued(stage)]] == [BuildState.CANCELLED], ran.printed


async def test_a_job_that_is_cancelled_leaves_what_others_need(stage: JobStage, runner: Runner) -> None:
    build = await add_build(stage.store, await stage.install(), BuildState.QUEUED)
    async with runner.started() as step:
        await step.prints("Waiting for its turn")
        ran = await step.cancelled(signal.SIGINT)
    assert "The build goes on: Somebody else wants it, too" in ran.printed
    async with stage.store.read() as session:
        assert (await session.get_one(Build, build.id)).state is BuildState.QUEUED


async def test_notebooks_that_do_not_run_are_annotated(stage: JobStage, runner: Runner) -> None:
    await add_build(stage.store, await stage.install(), finished_at=utc_now())
    async with runner.started(verify="a.ipynb\n  more/b.ipynb\n\n") as step:
        wanted = await notebook_runs(stage)
        fault = {"party": "repository", "message": "ZeroDivisionError: division by zero", "line": 7, "traceback": "…"}
        async with stage.store.write() as session:
            for run, outcome in zip(wanted, ("passed", "failed"), strict=True):
                row = await session.get_one(NotebookRun, run.id)
                row.outcome, row.fault = outcome, fault if outcome == "failed" else None
        ran = await step.ended()
    assert (ran.code, ran.outputs["status"], ran.outputs["image"]) == (1, "failure", IMAGE), ran.printed
    (told,) = ran.told("error")
    assert told.message == "ZeroDivisionError: division by zero"
    assert told.properties == {"title": "Binder: Not all notebooks run", "file": "more/b.ipynb", "line": "7"}
    assert "1 of 2 notebooks ran" in ran.summary
    assert "[Open the notebooks](" in ran.summary


async def notebook_runs(stage: JobStage) -> list[NotebookRun]:
    """Return the notebooks that the job wants to see run, once it asked for them."""
    async with asyncio.timeout(30):
        while True:
            async with stage.store.read() as session:
                if found := list(await session.scalars(select(NotebookRun).order_by(NotebookRun.id))):
                    return found
            await asyncio.sleep(0.05)


def pull_request(*, head_sha: str = SHA, head_id: int | None = 1) -> dict[str, Any]:
    """Return the part of an event that the action reads."""
    head = {"sha": head_sha, "repo": None if head_id is None else {"id": head_id}}
    return {"pull_request": {"number": 3, "head": head, "base": {"repo": {"id": 1}}}}


async def test_a_pull_requests_head_is_built_and_not_its_merge(stage: JobStage, runner: Runner) -> None:
    await add_build(stage.store, await stage.install(), sha="c" * 40, finished_at=utc_now())
    runner.event = pull_request(head_sha="c" * 40)
    runner.job = {"event": "pull_request", "ref": "refs/pull/3/merge"}
    ran = await runner.run()
    assert (ran.code, ran.outputs["url"].rpartition("/")[2]) == (0, "c" * 40), ran.printed


@pytest.mark.parametrize("head_id", [2, None])
async def test_a_forks_pull_request_ends_neutral(stage: JobStage, runner: Runner, head_id: int | None) -> None:
    runner.event = pull_request(head_id=head_id)
    ran = await runner.run(has_identity=False)
    assert (ran.code, ran.outputs["status"]) == (0, "neutral"), ran.printed
    (notice,) = ran.told("notice")
    assert notice.message == "This service knows nothing of ada/notes."
    row = await stage.install()
    await add_build(stage.store, row, BuildState.FAILED, untrusted=True, fault=FAULT, finished_at=utc_now())
    ran = await runner.run(has_identity=False)
    assert (ran.code, ran.outputs["status"]) == (0, "failure"), ran.printed
    assert ran.told("warning")[0].properties["line"] == "3"
    await add_build(stage.store, row, untrusted=True, finished_at=utc_now())
    ran = await runner.run(has_identity=False)
    assert (ran.code, ran.outputs["status"]) == (0, "success"), ran.printed
    assert ran.outputs["url"].endswith(f"/{SHA}")


async def test_what_is_missing_is_said(stage: JobStage, runner: Runner, heard: list[str]) -> None:
    await stage.install()
    ran = await runner.run(has_identity=False)
    assert (ran.code, ran.outputs["status"]) == (1, "error")
    assert "give it “permissions: id-token: write”" in ran.told("error")[0].message
    # GitHub's token is for the address that is written down: the service knows itself by another.
    ran = await runner.run(service=stage.settings.url.replace("127.0.0.1", "localhost"))
    assert "This token is for another service" in ran.told("error")[0].message
    ran = await runner.run(fail_on="repository", service=runner.issuer)
    assert (ran.code, "does not answer as it should (HTTP 404)" in ran.told("warning")[0].message) == (0, True)
    assert GITHUB_TOKEN not in "".join(heard)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"service": ""}, "the address of a Binder service"),
        ({"service": "http://binder.example.org"}, "the address of a Binder service"),
        ({"service": "https://ada:secret@binder.example.org"}, "the address of a Binder service"),
        ({"service": "https://binder.example.org/\n::error::x"}, "the address of a Binder service"),
        ({"fail_on": "sometimes"}, "Write failure, repository or never"),
        ({"timeout": "0"}, "from 1 to 1440"),
        ({"timeout": "an hour"}, "from 1 to 1440"),
        ({"comment": "please"}, "true or false"),
    ],
)
async def test_an_input_that_cannot_be_is_refused(runner: Runner, inputs: dict[str, Any], says: str) -> None:
    ran = await runner.run(**inputs)
    assert ran.code == 1
    assert [says in one.message for one in ran.commands] == [True]


async def test_a_service_that_is_away_for_a_moment_is_asked_again(stage: JobStage, runner: Runner) -> None:
    await add_build(stage.store, await stage.install(), finished_at=utc_now())
    runner.failures = 1
    ran = await runner.run()
    assert (ran.code, ran.outputs["status"]) == (0, "success"), ran.printed
