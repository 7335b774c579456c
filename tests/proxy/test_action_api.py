"""What jobs of workflows may ask of the service, and what others may not who try with tokens of theirs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from binder.lifecycle import BuildState
from binder.store.queries import want_build
from binder.store.tables import Build, Decision, JobAsk, NotebookRun, Repository, utc_now
from proxy.claims import Launcher, Quota, launch
from proxy.commits import Commit
from tests.postgresql import PostgreSQL
from tests.proxy.conftest import client_of
from tests.proxy.jobs import FULL_NAME, JobStage, running_job_stage
from tests.proxy.rows import SHA, add_build, add_log, add_preview, add_repository
from tests.proxy.streaming import advance

OTHER_SHA = "f" * 40


@pytest.fixture
async def stage(folder: Path) -> AsyncIterator[JobStage]:
    async with running_job_stage(folder) as stage:
        yield stage


@pytest.fixture
async def client(stage: JobStage) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(stage.application, stage.settings.url) as client:
        yield client


async def asked(client: httpx.AsyncClient, token: str, sha: str = SHA) -> httpx.Response:
    return await client.post("/api/action/builds", json={"sha": sha}, headers={"Authorization": f"Bearer {token}"})


async def started(client: httpx.AsyncClient, token: str, sha: str = SHA) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the build that a job is given, and the headers that it follows it by."""
    answer = await asked(client, token, sha)
    assert answer.status_code == 200, answer.text
    return answer.json()["build"], {"Authorization": f"Bearer {answer.json()['follow']}"}


async def refused(client: httpx.AsyncClient, token: str, *, status: int, sha: str = SHA) -> str:
    """Return why a job is refused, after which nothing is queued."""
    answer = await asked(client, token, sha)
    assert answer.status_code == status, answer.text
    return str(answer.json()["message"])


async def builds(stage: JobStage) -> list[Build]:
    async with stage.store.read() as session:
        return list(await session.scalars(select(Build).order_by(Build.id)))


async def test_a_build_is_asked_for_once_and_followed(stage: JobStage, client: httpx.AsyncClient) -> None:
    await stage.install()
    told, follow = await started(client, await stage.token())
    assert (told["repository"], told["sha"], told["state"], told["was_there"]) == (FULL_NAME, SHA, "queued", False)
    assert told["url"] == f"{stage.settings.url}/v2/gh/{FULL_NAME}/{SHA}"
    (build,) = await builds(stage)
    assert (build.for_jobs, build.untrusted) == (True, False)
    again, _ = await started(client, await stage.token())
    assert (again["build"], again["was_there"]) == (told["build"], True)

    await add_log(stage.store, build, "==> Resolving\nsix 1.17\nhalf a li")
    part = (await client.get("/api/action/build", headers=follow)).json()
    assert (part["lines"], part["is_over"]) == (["==> Resolving", "six 1.17"], False)
    await add_log(stage.store, build, "ne\n")
    rest = (await client.get(f"/api/action/build?from={part['next']}", headers=follow)).json()
    assert rest["lines"] == ["half a line"]
    for state in (BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING, BuildState.CHECKING):
        await advance(stage.context, build, state)
        assert (await client.get("/api/action/build", headers=follow)).json()["build"]["state"] == state
    await advance(stage.context, build, BuildState.SUCCEEDED)
    end = (await client.get(f"/api/action/build?from={rest['next']}", headers=follow)).json()
    assert (end["is_over"], end["lines"], end["build"]["fault"]) == (True, [], None)
    async with stage.store.read() as session:
        outcomes = list(await session.execute(select(Decision.cause, Decision.outcome, Decision.ref)))
    assert outcomes == [("job", "build", "main"), ("job", "known", "main")]


async def test_what_was_wrong_is_told_with_its_line(stage: JobStage, client: httpx.AsyncClient) -> None:
    row = await stage.install()
    fault = {"party": "repository", "message": "No such package.", "file": "requirements.txt", "line": 3, "step": None}
    await add_build(stage.store, row, BuildState.FAILED, fault=fault, finished_at=utc_now() - timedelta(hours=1))
    told, follow = await started(client, await stage.token())
    assert (told["state"], told["was_there"]) == ("failed", True)
    assert told["fault"] == {**fault, "whose": "The repository needs a change."}
    assert (await client.get("/api/action/build", headers=follow)).json()["is_over"]
    # A job that a person has run once more is to see whether it fails again.
    told, _ = await started(client, await stage.token(claims={"run_attempt": "2"}))
    assert (told["state"], told["was_there"]) == ("queued", False)


async def test_a_token_counts_once_in_all_replicas(stage: JobStage, client: httpx.AsyncClient) -> None:
    await stage.install()
    token = await stage.token()
    answers = await asyncio.gather(*(asked(client, token) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    assert "was used before" in await refused(client, token, status=401)
    # One that was refused for what it asked is used up as well.
    token = await stage.token("ada/notes", claims={"repository_id": "77", "repository_visibility": "private"})
    assert "install the App" in await refused(client, token, status=403)
    assert "was used before" in await refused(client, token, status=401)


async def test_a_token_counts_once_where_several_write_at_once(folder: Path, postgresql: PostgreSQL) -> None:
    async with (
        running_job_stage(folder, store_url=postgresql.new_database()) as stage,
        client_of(stage.application, stage.settings.url) as client,
    ):
        await stage.install()
        for _ in range(3):
            token = await stage.token()
            answers = await asyncio.gather(*(asked(client, token) for _ in range(8)))
            assert sorted(answer.status_code for answer in answers) == [200] + 7 * [401]
        assert len(await builds(stage)) == 1
        _, follow = await started(client, await stage.token())
        assert await left(client, follow) == "Another job needs it, too."


async def test_what_is_used_up_is_forgotten_once_no_token_of_then_is_good(stage: JobStage) -> None:
    await stage.install()
    old = JobAsk(token="0" * 64, ends_at=utc_now() - timedelta(seconds=1))
    async with stage.store.write() as session:
        session.add(old)
    async with client_of(stage.application, stage.settings.url) as client:
        await started(client, await stage.token())
    async with stage.store.read() as session:
        assert await session.get(JobAsk, "0" * 64) is None
        assert await session.scalar(select(func.count()).select_from(JobAsk)) == 1


@pytest.mark.parametrize("brought", ["", "Basic YTpi", "Bearer", "Bearer nothing", f"Bearer {'a' * 9000}"])
async def test_without_a_token_nothing_is_started_and_nothing_told(
    client: httpx.AsyncClient, stage: JobStage, brought: str
) -> None:
    await stage.install()
    for method, path in (("POST", "/api/action/builds"), ("GET", "/api/action/build"), ("DELETE", "/api/action/build")):
        body = {"json": {"sha": SHA}} if method == "POST" else {}
        answer = await client.request(method, path, headers={"Authorization": brought}, **body)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["party"]) == (401, "visitor")
    assert await builds(stage) == []


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'{"sha": "main"}', b'{"sha": 7}', b'{"sha": "%s", "x": 1}' % (b"a" * 40)]
)
async def test_what_is_asked_for_is_a_commit(client: httpx.AsyncClient, stage: JobStage, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {await stage.token()}"}
    answer = await client.post("/api/action/builds", content=body, headers=headers)
    assert (answer.status_code, answer.json()["party"]) == (404, "visitor")


async def test_a_job_has_no_other_repository_built_than_its_own(stage: JobStage, client: httpx.AsyncClient) -> None:
    """Names are for show: a job of Eve's that says that it is Ada's is one of Eve's."""
    await stage.install(private=True)
    eves = await stage.sandbox.create_repository("eve/notes")
    said = {"repository": FULL_NAME, "repository_id": str(eves.id), "sub": f"repo:{FULL_NAME}:ref:refs/heads/main"}
    why = await refused(client, await stage.token("eve/notes", claims=said), status=404)
    assert "no repository ada/notes on GitHub that you may see" in why
    assert await builds(stage) == []


async def test_a_name_that_was_registered_anew_has_none_of_what_the_old_one_has(
    stage: JobStage, client: httpx.AsyncClient
) -> None:
    """Ada's repository was renamed, which nobody told us yet, and Eve has one of its name now."""
    await stage.install()
    eve = stage.sandbox.world.account("eve").id
    said = {"repository_id": "4711", "repository_owner_id": str(eve)}
    why = await refused(client, await stage.token(claims=said), status=403)
    assert "knows another repository that was called ada/notes" in why
    # Of the same number, but another account's by now: we are to be told first.
    why = await refused(client, await stage.token(claims={"repository_owner_id": str(eve)}), status=403)
    assert "belongs to another account" in why
    assert await builds(stage) == []


async def test_who_owns_it_must_be_known(stage: JobStage, client: httpx.AsyncClient) -> None:
    """A row of a version before this one does not say."""
    await stage.install(owner_id=None)
    assert "belongs to another account" in await refused(client, await stage.token(), status=403)


async def test_a_public_repository_without_the_app_is_built_as_by_a_link(
    stage: JobStage, client: httpx.AsyncClient
) -> None:
    told, _ = await started(client, await stage.token())
    assert told["state"] == "queued"
    async with stage.store.read() as session:
        row = (await session.scalars(select(Repository))).one()
    assert (row.owner, row.name, row.external_id, row.installation_id) == ("ada", "notes", None, None)
    assert (await builds(stage))[0].untrusted is False
    why = await refused(client, await stage.token(claims={"repository_visibility": "private"}), status=403)
    assert "is not public, and this service's GitHub App is not installed on it" in why
    await stage.sandbox.create_repository("ada/hidden")
    assert "no repository ada/hidden" in await refused(client, await stage.token("ada/hidden"), status=404)


@pytest.mark.parametrize("signs_in", [True, False])
async def test_a_private_one_needs_visitors_who_can_sign_in(folder: Path, signs_in: bool) -> None:
    client_settings: dict[str, Any] = (
        {"github_client_id": "Iv1", "github_client_secret": SecretStr("s" * 40)} if signs_in else {}
    )
    async with (
        running_job_stage(folder, **client_settings) as stage,
        client_of(stage.application, stage.settings.url) as client,
    ):
        await stage.install(private=True)
        token = await stage.token(claims={"repository_visibility": "private"})
        if signs_in:
            told, follow = await started(client, token)
            assert told["state"] == "queued"
            assert (await client.get("/api/action/build", headers=follow)).status_code == 200
        else:
            assert "nobody could open it here" in await refused(client, token, status=403)


@pytest.mark.parametrize(
    ("job", "sha", "is_forks"),
    [
        ({}, SHA, False),
        ({"ref": "refs/tags/v1"}, SHA, False),
        # With the rights of the base, for whatever commit somebody proposes.
        ({"event": "pull_request_target"}, OTHER_SHA, True),
        ({"event": "pull_request", "ref": "refs/pull/3/merge"}, SHA, True),
        ({"event": "pull_request", "ref": "refs/pull/3/merge"}, OTHER_SHA, True),
    ],
)
async def test_what_may_be_a_forks_commit_is_built_as_one(
    stage: JobStage, client: httpx.AsyncClient, job: dict[str, Any], sha: str, is_forks: bool
) -> None:
    await stage.install()
    await started(client, await stage.token(**job), sha)
    assert [build.untrusted for build in await builds(stage)] == [is_forks]


async def test_the_head_of_an_own_branch_is_no_forks(stage: JobStage, client: httpx.AsyncClient) -> None:
    await add_preview(stage.store, await stage.install(), "topic", sha=OTHER_SHA)
    token = await stage.token(event="pull_request", ref="refs/pull/3/merge")
    await started(client, token, OTHER_SHA)
    assert [build.untrusted for build in await builds(stage)] == [False]


async def test_where_no_forks_are_built_jobs_have_none_built(folder: Path) -> None:
    async with running_job_stage(folder, fork_builds_at_once=0) as stage:
        await stage.install()
        async with client_of(stage.application, stage.settings.url) as client:
            why = await refused(client, await stage.token(event="pull_request_target"), status=403, sha=OTHER_SHA)
    assert "may be a fork's" in why


async def test_an_account_may_start_so_many(folder: Path) -> None:
    async with running_job_stage(folder, launches_per_hour=2) as stage:
        await stage.install()
        async with client_of(stage.application, stage.settings.url) as client:
            for digit in "ab":
                await started(client, await stage.token(), digit * 40)
            answer = await asked(client, await stage.token(), "c" * 40)
            assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (429, True)
            await started(client, await stage.token(), "a" * 40)  # starts nothing
        assert len(await builds(stage)) == 2


async def left(client: httpx.AsyncClient, follow: dict[str, str]) -> Any:
    answer = await client.delete("/api/action/build", headers=follow)
    assert answer.status_code == 200
    return answer.json()["why"]


async def test_a_build_ends_with_the_last_job_that_needs_it(stage: JobStage, client: httpx.AsyncClient) -> None:
    await stage.install()
    first, second = [(await started(client, await stage.token()))[1] for _ in range(2)]
    assert await left(client, first) == "Another job needs it, too."
    assert (await builds(stage))[0].state is BuildState.QUEUED
    assert await left(client, second) is None
    (build,) = await builds(stage)
    assert (build.state, (build.fault or {})["message"][:9]) == (BuildState.CANCELLED, "Cancelled")
    assert "already" in await left(client, second)
    # Whoever asks then has it built anew.
    told, _ = await started(client, await stage.token())
    assert (told["state"], told["build"] != build.id) == ("queued", True)


async def test_a_job_that_was_not_heard_of_for_a_while_is_dead(stage: JobStage, client: httpx.AsyncClient) -> None:
    await stage.install()
    dead, alive = [(await started(client, await stage.token()))[1] for _ in range(2)]
    async with stage.store.write() as session:
        for ask in await session.scalars(select(JobAsk)):
            ask.seen_at = utc_now() - timedelta(minutes=5)
    assert (await client.get("/api/action/build", headers=alive)).status_code == 200
    assert await left(client, dead) == "Another job needs it, too."
    assert await left(client, alive) is None


@pytest.mark.parametrize("who", ["preview", "operator", "visitor"])
async def test_what_somebody_else_wants_goes_on(stage: JobStage, client: httpx.AsyncClient, who: str) -> None:
    row = await stage.install()
    _, follow = await started(client, await stage.token())
    if who == "visitor":
        await launch(stage.store, Commit(row, SHA), Launcher(None, lambda: None), Quota(5, 5), utc_now())
    else:
        preview = await add_preview(stage.store, row, "main") if who == "preview" else None
        async with stage.store.write() as session:
            await want_build(session, repository_id=row.id, sha=SHA, preview_id=preview.id if preview else None)
    assert "Somebody else wants it, too" in await left(client, follow)
    assert [build.state for build in await builds(stage)] == [BuildState.QUEUED]


async def test_a_build_that_was_there_before_is_no_jobs_to_cancel(stage: JobStage, client: httpx.AsyncClient) -> None:
    await add_build(stage.store, await stage.install(), BuildState.QUEUED)
    _, follow = await started(client, await stage.token())
    assert "Somebody else wants it, too" in await left(client, follow)


async def test_what_was_taken_from_the_app_is_followed_no_more(stage: JobStage, client: httpx.AsyncClient) -> None:
    row = await stage.install()
    _, follow = await started(client, await stage.token())
    async with stage.store.write() as session:
        taken = await session.get_one(Repository, row.id)
        taken.private, taken.installation_id = True, None
    assert (await client.get("/api/action/build", headers=follow)).status_code == 401
    assert (await client.delete("/api/action/build", headers=follow)).status_code == 401


async def test_anybody_may_ask_how_a_public_commit_stands(stage: JobStage, client: httpx.AsyncClient) -> None:
    path = f"/api/action/commits/{FULL_NAME}/{SHA}"
    assert (await client.get(path)).json()["why"] == "This service knows nothing of ada/notes."
    row = await stage.install()
    waits = await add_preview(
        stage.store, row, "3", kind="pull", from_fork=True, held="commits from forks wait for approval"
    )
    assert (await client.get(path)).json()["why"] == "It is not built: commits from forks wait for approval."
    build = await add_build(stage.store, row, BuildState.BUILDING, untrusted=True, preview_id=waits.id)
    await add_log(stage.store, build, "one\n")
    told = (await client.get(path)).json()
    assert (told["build"]["state"], told["lines"], told["is_over"]) == ("building", ["one"], False)
    assert len(await builds(stage)) == 1
    assert (await client.get("/api/action/commits/ada/notes/main")).status_code == 404
    async with stage.store.write() as session:
        (await session.get_one(Repository, row.id)).private = True
    hidden = (await client.get(path)).json()
    assert hidden == {
        "build": None, "why": "This service knows nothing of ada/notes.", "notebooks": [], "lines": [], "next": 0,
        "is_over": False,
    }  # fmt: skip


async def test_github_that_says_no_keys_is_the_worlds_fault(stage: JobStage, client: httpx.AsyncClient) -> None:
    await stage.install()
    await stage.sandbox.add_fault("status", count=9, path="/_services/token/.well-known/jwks", status=503)
    answer = await asked(client, await stage.token())
    assert (answer.status_code, answer.json()["party"]) == (503, "world")
    assert answer.headers["retry-after"] == "10"


async def test_rows_of_repositories_that_only_links_named_are_found_by_name(
    stage: JobStage, client: httpx.AsyncClient
) -> None:
    await add_repository(stage.store, name="notes", host=stage.settings.github_host)
    told, _ = await started(client, await stage.token())
    assert told["repository"] == FULL_NAME


NOTEBOOKS = ["a.ipynb", "more/b.ipynb"]


async def with_notebooks(client: httpx.AsyncClient, token: str) -> dict[str, str]:
    """Return the headers by which a job follows its build, and the notebooks that it wants to see run."""
    headers = {"Authorization": f"Bearer {token}"}
    answer = await client.post("/api/action/builds", json={"sha": SHA, "verify": NOTEBOOKS}, headers=headers)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['follow']}"}


async def runs(stage: JobStage) -> list[NotebookRun]:
    async with stage.store.read() as session:
        return list(await session.scalars(select(NotebookRun).order_by(NotebookRun.id)))


async def test_notebooks_run_once_there_is_an_image(stage: JobStage, client: httpx.AsyncClient) -> None:
    await stage.install()
    follow = await with_notebooks(client, await stage.token())
    (build,) = await builds(stage)
    await client.get("/api/action/build", headers=follow)
    assert await runs(stage) == []
    await advance(
        stage.context, build, BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING, BuildState.CHECKING,
        BuildState.SUCCEEDED,
    )  # fmt: skip
    await asyncio.gather(*(client.get("/api/action/build", headers=follow) for _ in range(3)))
    wanted = await runs(stage)
    assert [(run.path, run.build_id) for run in wanted] == [(path, build.id) for path in NOTEBOOKS]
    assert not (await client.get("/api/action/build", headers=follow)).json()["is_over"]
    fault = {"party": "repository", "message": "ZeroDivisionError", "line": 7, "traceback": "…"}
    async with stage.store.write() as session:
        for row, outcome in zip(wanted, ("passed", "failed"), strict=True):
            ran = await session.get_one(NotebookRun, row.id)
            ran.outcome, ran.fault = outcome, fault if outcome == "failed" else None
    told = (await client.get("/api/action/build", headers=follow)).json()
    assert (told["is_over"], told["build"]["state"]) == (True, "succeeded")
    assert [(one["path"], one["outcome"], (one["fault"] or {}).get("line")) for one in told["notebooks"]] == [
        ("a.ipynb", "passed", None), ("more/b.ipynb", "failed", 7)
    ]  # fmt: skip


async def test_notebooks_of_a_build_that_fails_never_run(stage: JobStage, client: httpx.AsyncClient) -> None:
    await add_build(
        stage.store, await stage.install(), BuildState.FAILED, fault={"party": "repository", "message": "No."}
    )
    follow = await with_notebooks(client, await stage.token())
    assert (await client.get("/api/action/build", headers=follow)).json()["is_over"]
    assert await runs(stage) == []


async def test_notebooks_stop_with_their_job(stage: JobStage, client: httpx.AsyncClient) -> None:
    await add_build(stage.store, await stage.install())
    first, second = [await with_notebooks(client, await stage.token()) for _ in range(2)]
    for follow in (first, second):
        await client.get("/api/action/build", headers=follow)
    assert await left(client, first) == "It has succeeded already."
    assert [run.outcome for run in await runs(stage)] == ["stopped", "stopped", None, None]


@pytest.mark.parametrize(
    "verify",
    [["a.py"], ["../a.ipynb"], ["/a.ipynb"], [7], ["a.ipynb\0.ipynb"], ["a.ipynb"] * 51, ["a" * 1001 + ".ipynb"]],
)
async def test_notebooks_are_paths_of_notebooks(client: httpx.AsyncClient, stage: JobStage, verify: list[Any]) -> None:
    headers = {"Authorization": f"Bearer {await stage.token()}"}
    answer = await client.post("/api/action/builds", json={"sha": SHA, "verify": verify}, headers=headers)
    assert (answer.status_code, "“verify” must be a list" in answer.json()["message"]) == (404, True)
