"""The pages that a person looks at."""

import asyncio

import httpx

from tests.githubapp.sandbox.conftest import CONTEXT, Rest, Stage


async def _set_status(stage: Stage, rest: Rest, state: str, description: str = "") -> None:
    token = await asyncio.to_thread(stage.installation_token)
    body = {
        "state": state,
        "context": CONTEXT,
        "description": description,
        "target_url": "http://binder.example.org/b/1",
    }
    answer = await rest("POST", f"/repos/ada/demo/statuses/{stage.first_sha}", token=token, json=body)
    assert answer.status_code == 201


async def test_a_commit_page_shows_its_statuses_and_looks_again_until_they_are_final(
    stage: Stage, rest: Rest, browser: httpx.AsyncClient
) -> None:
    path = f"/ada/demo/commit/{stage.first_sha}"
    refresh = '<meta http-equiv="refresh"'
    assert refresh in (await browser.get(path)).text
    await _set_status(stage, rest, "pending", "Building")
    assert refresh in (await browser.get(path)).text
    await _set_status(stage, rest, "success", "Ready <b>")
    page = (await browser.get(path)).text
    assert refresh not in page
    assert "Ready &lt;b&gt;" in page
    assert '<a href="http://binder.example.org/b/1" rel="noopener noreferrer">Details</a>' in page
    assert "README.md" in page


async def test_a_repository_page_shows_commits_and_the_readme(stage: Stage, browser: httpx.AsyncClient) -> None:
    await stage.push("Second <i>", README="# Welcome\n\n<script>alert(1)</script>")
    page = (await browser.get("/ada/demo")).text
    assert "Second &lt;i&gt;" in page
    assert "<h3>Welcome</h3>" in page
    assert "<script" not in page
    assert f"{stage.sandbox.url}/ada/demo.git" in page


async def test_a_plain_readme_is_shown_as_it_is(stage: Stage, browser: httpx.AsyncClient) -> None:
    await stage.checkout.git("rm", "--quiet", "README.md")
    stage.checkout.write("README.rst", "<b>Plain</b>\n=====")
    await stage.push("Plain")
    assert "<pre>&lt;b&gt;Plain&lt;/b&gt;" in (await browser.get("/ada/demo")).text


async def test_a_pull_request_page_shows_comments_harmlessly(stage: Stage, browser: httpx.AsyncClient) -> None:
    await stage.push("Work", "topic", topic="1")
    await stage.sandbox.open_pull_request("ada/demo", author="ada", head="topic", title="<T>", body="*Why*")
    await stage.sandbox.comment("ada/demo", 1, author="bob", body="<!-- hidden -->**Nice** <img src=x onerror=y>")
    page = (await browser.get("/ada/demo/pull/1")).text
    assert "&lt;T&gt;" in page
    assert "<em>Why</em>" in page
    assert "<strong>Nice</strong>" in page
    assert "hidden" not in page
    assert "<img" not in page
    await stage.sandbox.close_pull_request("ada/demo", 1)
    assert "Closed" in (await browser.get("/ada/demo/pull/1")).text


async def test_the_first_page_lists_repositories_and_deliveries(stage: Stage, browser: httpx.AsyncClient) -> None:
    stage.receiver.status = 500
    await stage.push("Second")
    await stage.sandbox.settled()
    page = (await browser.get("/")).text
    assert 'href="/ada/demo"' in page
    assert '<td class="failure">500</td>' in page
    assert "installation · created" in page


async def test_every_page_says_that_it_is_not_github_and_runs_nothing(stage: Stage, browser: httpx.AsyncClient) -> None:
    await stage.sandbox.create_repository("ada/empty")
    await stage.checkout.push(stage.url, "HEAD:refs/heads/feature/x")
    for path in ("/", "/ada/demo", "/ada/demo/tree/feature/x", "/ada/empty", "/ada/nothing"):
        answer = await browser.get(path)
        assert "This is a stand-in for GitHub" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "<script" not in answer.text


async def test_missing_pages(stage: Stage, browser: httpx.AsyncClient) -> None:
    assert stage.first_sha
    wrong_here = ("commit/abc", f"commit/{'0' * 40}", "pull/9", "tree/no")
    for path in ("/ada/nothing", "/-/x", *(f"/ada/demo/{rest}" for rest in wrong_here)):
        assert (await browser.get(path)).status_code == 404, path


async def test_old_addresses_lead_to_new_ones(stage: Stage, browser: httpx.AsyncClient) -> None:
    await stage.sandbox.rename_repository("ada/demo", name="renamed")
    answer = await browser.get(f"/ada/demo/commit/{stage.first_sha}")
    assert answer.headers["location"] == f"{stage.sandbox.url}/ada/renamed/commit/{stage.first_sha}"


async def test_avatars_are_pictures(stage: Stage, browser: httpx.AsyncClient, rest: Rest) -> None:
    url = (await rest("GET", "/repos/ada/demo")).json()["owner"]["avatar_url"]
    answer = await browser.get(url.removeprefix(stage.sandbox.url))
    assert answer.headers["content-type"].startswith("image/svg+xml")


async def test_a_commit_page_shows_checks_and_deployments(stage: Stage, rest: Rest, browser: httpx.AsyncClient) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    annotation = {
        "path": "environment.yml",
        "start_line": 3,
        "end_line": 3,
        "annotation_level": "failure",
        "message": "No such <package>",
    }
    output = {"title": "Failed", "summary": "**Why**", "annotations": [annotation]}
    check = {"name": "binder", "head_sha": stage.first_sha, "status": "in_progress"}
    run = (await rest("POST", "/repos/ada/demo/check-runs", token=token, json=check)).json()
    path = f"/ada/demo/commit/{stage.first_sha}"
    assert '<meta http-equiv="refresh"' in (await browser.get(path)).text
    path_of_run = f"/repos/ada/demo/check-runs/{run['id']}"
    await rest("PATCH", path_of_run, token=token, json={"conclusion": "failure", "output": output})
    body = {"ref": stage.first_sha, "environment": "binder-preview", "required_contexts": []}
    made = (await rest("POST", "/repos/ada/demo/deployments", token=token, json=body)).json()
    status = {"state": "success", "environment_url": "http://binder.example.org/v2/gh/ada/demo"}
    await rest("POST", f"/repos/ada/demo/deployments/{made['id']}/statuses", token=token, json=status)
    page = (await browser.get(path)).text
    assert "<strong>Why</strong>" in page
    assert "environment.yml:3" in page
    assert "No such &lt;package&gt;" in page
    assert '<a href="http://binder.example.org/v2/gh/ada/demo" rel="noopener noreferrer">View deployment</a>' in page
    assert '<meta http-equiv="refresh"' not in page
    there = await browser.get(run["html_url"])
    assert there.headers["location"] == f"{path}#check-{run['id']}"
    assert (await browser.get("/ada/demo/runs/1")).status_code == 404
