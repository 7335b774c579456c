"""What all REST calls have in common."""

import asyncio

import httpx

from githubapp.sandbox.access import Actor
from githubapp.sandbox.budget import Budget
from tests.githubapp.github_description import Recorder
from tests.githubapp.sandbox.conftest import Rest, Stage


async def test_lists_come_in_pages_with_links(stage: Stage, rest: Rest) -> None:
    for number in range(4):
        await stage.checkout.push(stage.url, f"HEAD:refs/heads/b{number}")
    first = await rest("GET", "/repos/ada/demo/branches?per_page=2")
    assert [one["name"] for one in first.json()] == ["b0", "b1"]
    assert set(first.links) == {"next", "last"}
    second = await rest("GET", first.links["next"]["url"].removeprefix(stage.sandbox.api_url))
    assert [one["name"] for one in second.json()] == ["b2", "b3"]
    assert set(second.links) == {"prev", "first", "next", "last"}
    last = await rest("GET", second.links["last"]["url"].removeprefix(stage.sandbox.api_url))
    assert [one["name"] for one in last.json()] == ["main"]
    assert set(last.links) == {"prev", "first"}


async def test_odd_pages_are_no_errors(stage: Stage, rest: Rest) -> None:
    assert stage.first_sha
    for query in ("page=0", "page=99", "per_page=0", "per_page=1000", "page=1"):
        assert (await rest("GET", f"/repos/ada/demo/branches?{query}")).status_code == 200, query


async def test_bad_bodies_are_refused(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    path = f"/repos/ada/demo/statuses/{stage.first_sha}"
    bad = [
        (b"{", 400, "Problems parsing JSON"),
        (b"[" * 100_000, 400, "Problems parsing JSON"),
        (b'{"state": "\\ud800"}', 400, "Problems parsing JSON"),
        (b'{"state": NaN}', 400, "Problems parsing JSON"),
        (b"[]", 400, "Body should be a JSON object"),
        (b" " * 2_000_000, 413, "Payload too large"),
    ]
    for content, status, message in bad:
        answer = await rest("POST", path, token=token, content=content)
        assert (answer.status_code, answer.json()["message"]) == (status, message)


async def test_what_is_not_there_is_not_found(stage: Stage, recorder: Recorder) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        for path in ("/repos/ada/..", "/repos/../demo", "/repos/ada/missing", "/repos/-/demo", "/repositories/1"):
            answer = await client.get(httpx.URL(stage.sandbox.url, raw_path=f"/api/v3{path}".encode()))
            assert answer.status_code == 404, path
    # Some of these are no calls of GitHub's at all.
    recorder.exchanges.clear()


async def test_unknown_calls_are_refused_as_github_does(stage: Stage) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        # GitHub's description has no such call, so it goes past the recorder.
        answer = await client.put(f"{stage.sandbox.url}/api/v4/anything")
    assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")


async def test_every_answer_says_how_much_is_left(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    first = await rest("GET", "/repos/ada/demo", token=token)
    second = await rest("GET", "/repos/ada/demo", token=token)
    left = [int(answer.headers["x-ratelimit-remaining"]) for answer in (first, second)]
    assert left[0] - left[1] == 1
    limit = (await rest("GET", "/rate_limit", token=token)).json()
    assert limit["resources"]["core"]["remaining"] == left[1]


def test_a_budget_is_each_callers_own() -> None:
    budget, ada = Budget(limit=1), Actor()
    budget.spend(ada)
    assert not budget.is_spent(ada)
    budget.spend(ada)
    assert budget.is_spent(ada)
    assert budget.rate(ada)["remaining"] == 0
