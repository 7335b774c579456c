"""A push becomes a green status whose link opens a live notebook; what is wrong is said where people look."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from binder.cli.visit import compute, open_link
from githubapp.sandbox.values import Status
from tests.stage import NOTEBOOK, REPOSITORY, Stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]


async def test_the_link_of_a_green_status_opens_a_notebook_that_computes(stage: Stage) -> None:
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", "6 * 8")})
    status = await stage.final_status(sha)
    assert status.state == "success"
    assert (status.description or "").startswith("Ready")
    assert status.target_url
    visit = await open_link(status.target_url, timeout_seconds=60)
    assert await compute(visit, "import six; print(open('index.ipynb').read().count('6 * 8'))") == "1\n"


async def test_a_session_that_has_ended_says_so_and_starts_again_at_the_same_notebook(stage: Stage) -> None:
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", "6 * 9")})
    assert (await stage.final_status(sha)).state == "success"
    visit = await open_link(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?urlpath=lab", timeout_seconds=60)
    session_id = visit.base_url.split("/")[-2]
    async with httpx.AsyncClient(headers={"Authorization": f"token {visit.token}"}, timeout=30) as client:
        await client.post(f"{visit.base_url}api/shutdown")
        await stage.until(f"select 1 from sessions where id = '{session_id}' and state = 'ended'")
        page = await client.get(f"{visit.base_url}lab/tree/index.ipynb")
        for _ in range(100):  # its route goes a moment after it
            if page.status_code == 503:
                await asyncio.sleep(0.1)
                page = await client.get(f"{visit.base_url}lab/tree/index.ipynb")
    assert page.status_code == 410
    assert "The notebook server was shut down." in page.text
    again = f"/v2/gh/{REPOSITORY}/{sha}?urlpath=lab%2Ftree%2Findex.ipynb"
    assert f'href="{again}"' in page.text
    assert (await open_link(f"{stage.url}{again}", timeout_seconds=60)).base_url != visit.base_url


async def test_a_push_of_content_only_reuses_the_environment(stage: Stage) -> None:
    sha = await stage.push({"data.csv": f"{uuid4()}\n"})
    assert (await stage.final_status(sha)).state == "success"
    ((way,),) = stage.rows(f"select json_extract(result, '$.way') from builds where sha = '{sha}'")
    assert way == "content"


async def test_each_delivery_is_answered_202_and_each_commit_has_one_final_status(stage: Stage) -> None:
    sha = await stage.push({"more.txt": "more\n"})
    await stage.final_status(sha)
    await stage.sandbox.settled()
    pushes = [one for one in await stage.sandbox.deliveries() if one.event == "push"]
    assert {one.status_code for one in pushes} == {202}
    states = [one.state for one in await stage.sandbox.statuses(REPOSITORY, sha=sha)]
    assert states[0] == "success"
    assert set(states[1:]) == {"pending"}
    assert len(states) <= 3


async def test_a_delivery_that_comes_again_builds_nothing_again(stage: Stage) -> None:
    before = stage.rows("select count(*) from builds")
    push = next(one for one in await stage.sandbox.deliveries() if one.event == "push")
    await stage.sandbox.redeliver(push.id)
    await stage.sandbox.settled()
    answers = [one.status_code for one in await stage.sandbox.deliveries() if one.guid == push.guid]
    assert sorted(code for code in answers if code) == [200, 202]
    assert stage.rows("select count(*) from builds") == before


async def test_a_pull_request_gets_one_comment_that_follows_its_head(stage: Stage) -> None:
    first = await stage.push({"topic.txt": "one\n"}, branch="topic")
    pull = await stage.sandbox.open_pull_request(REPOSITORY, author="ada", head="topic", title="A topic")
    assert (await stage.final_status(first)).state == "success"
    second = await stage.push({"topic.txt": "two\n"}, branch="topic")
    assert (await stage.final_status(second)).state == "success"
    await _comment_that_names(stage, pull.number, second[:7])
    assert len(_comments(stage, pull.number)) == 1
    await stage.sandbox.close_pull_request(REPOSITORY, pull.number)
    await stage.until(f"select 1 from previews where kind = 'pull' and ref = '{pull.number}' and not live")


async def _comment_that_names(stage: Stage, number: int, sha: str) -> None:
    repository = stage.sandbox.world.repository(REPOSITORY)
    state = stage.sandbox.world.state
    # After many pushes in a minute a comment, as what matters least, waits for its turn within GitHub's limits.
    await state.until(lambda: any(sha in one.body for one in state.comments_of(repository, number)) or None, 120)


def _comments(stage: Stage, number: int) -> list[str]:
    repository = stage.sandbox.world.repository(REPOSITORY)
    return [one.body for one in stage.sandbox.world.state.comments_of(repository, number)]


async def _kept_log(status: Status) -> str:
    assert status.target_url
    async with httpx.AsyncClient() as client:
        answer = await client.get(status.target_url)
    assert answer.status_code == 200
    return answer.text


async def test_a_package_that_does_not_exist_fails_with_file_and_line(stage: Stage) -> None:
    text = "# ours\nsix\nnosuchpackage-for-binder\n"
    sha = await stage.push({"requirements.txt": text}, branch="no-package")
    status = await stage.final_status(sha)
    assert status.state == "failure"
    assert "requirements.txt line 3" in (status.description or "")
    assert "nosuchpackage-for-binder" in await _kept_log(status)


async def test_a_post_build_that_fails_is_named(stage: Stage) -> None:
    script = "#!/bin/sh\necho before the end\nexit 1\n"
    sha = await stage.push({"postBuild": script}, branch="post-build", executable="postBuild")
    status = await stage.final_status(sha)
    assert status.state == "failure"
    assert "postBuild" in (status.description or "")
    assert "before the end" in await _kept_log(status)


async def test_a_notebook_server_that_does_not_come_up_fails_the_build(stage: Stage) -> None:
    script = "#!/bin/sh\nrm -r /opt/binder/env/lib/python3.11/site-packages/jupyterlab\n"
    sha = await stage.push({"postBuild": script}, branch="no-server", executable="postBuild")
    status = await stage.final_status(sha)
    assert status.state == "failure"
    assert "start" in (status.description or "")
    await _kept_log(status)


async def test_a_file_that_is_not_supported_is_refused_by_name(stage: Stage) -> None:
    sha = await stage.push({"Project.toml": "[deps]\n"}, branch="julia")
    status = await stage.final_status(sha)
    assert status.state == "failure"
    assert "Project.toml" in (status.description or "")
