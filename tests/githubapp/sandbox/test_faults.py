"""What can go wrong with requests."""

import asyncio
import time
from typing import Any

import pytest
from github import Auth, Github

from githubapp.sandbox.access import Refusal
from githubapp.sandbox.faults import Fault, Faults
from githubapp.sandbox.sandbox import Sandbox
from tests.githubapp.sandbox.conftest import Rest, Stage
from tests.githubapp.sandbox.git_checkout import GitFailedError


def test_a_fault_strikes_as_often_as_it_says_and_only_where() -> None:
    faults = Faults()
    faults.add(Fault(0, "status", count=2, method="post", path=r"/statuses/"))
    faults.add(Fault(0, "lost", event="push"))
    assert faults.next_for_request("GET", "/api/v3/repos/a/b/statuses/1") is None
    assert faults.next_for_request("POST", "/api/v3/app") is None
    assert faults.next_for_delivery("create") is None
    struck = [faults.next_for_request("POST", "/api/v3/repos/a/b/statuses/1") for _ in range(3)]
    assert [fault is not None for fault in struck] == [True, True, False]
    assert faults.next_for_delivery("push") is not None
    assert faults.due == []


async def test_a_status_code_instead_of_an_answer(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.add_fault("status", status=503, message="Service unavailable", path=r"^/api/v3/repos/")
    refused = await rest("GET", "/repos/ada/demo")
    assert (refused.status_code, refused.json()["message"]) == (503, "Service unavailable")
    assert (await rest("GET", "/repos/ada/demo")).status_code == 200


@pytest.mark.parametrize("retry_after_seconds", [None, 1])
async def test_rate_limits_of_both_kinds(stage: Stage, rest: Rest, retry_after_seconds: int | None) -> None:
    for status in (403, 429):
        for kind in ("rate_limited", "secondary_rate_limited"):
            await stage.sandbox.add_fault(
                kind,
                status=status,
                retry_after_seconds=retry_after_seconds,
            )
        first, second = await rest("GET", "/repos/ada/demo"), await rest("GET", "/repos/ada/demo")
        assert (first.status_code, second.status_code) == (status, status)
        assert "API rate limit exceeded" in first.json()["message"]
        assert first.headers["x-ratelimit-remaining"] == "0"
        assert int(first.headers["x-ratelimit-reset"]) > time.time() - 2
        assert "secondary rate limit" in second.json()["message"]
        assert second.headers.get("retry-after") == (None if retry_after_seconds is None else "1")


async def test_a_spent_limit_is_reset_when_it_says(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.add_fault("rate_limited", status=429, seconds=500)
    limited = await rest("GET", "/repos/ada/demo")
    assert int(limited.headers["x-ratelimit-reset"]) > time.time() + 100
    assert (limited.headers["x-ratelimit-resource"], "retry-after" in limited.headers) == ("core", False)


async def test_a_failure_after_the_effect_makes_a_second_comment(stage: Stage) -> None:
    """Why no client may simply try a POST again: PyGithub does, if it is let."""
    await stage.push("Work", "topic", topic="1")
    await stage.sandbox.open_pull_request("ada/demo", author="ada", head="topic", title="A topic")
    await stage.sandbox.add_fault("fail_after_effect", method="POST", path="/comments$", status=502)

    def write() -> None:
        token = Auth.Token(stage.installation_token())
        with Github(auth=token, base_url=stage.sandbox.api_url, seconds_between_writes=None) as client:
            client.get_repo("ada/demo").get_pull(1).create_issue_comment("Once")

    await asyncio.to_thread(write)
    assert [comment.body for comment in stage.sandbox.world.state.comments.values()] == ["Once", "Once"]


async def test_slow_answers(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.add_fault("slow", seconds=0.4)
    started = time.monotonic()
    assert (await rest("GET", "/repos/ada/demo")).status_code == 200
    assert time.monotonic() - started >= 0.4


async def test_git_fails_too(stage: Stage) -> None:
    await stage.sandbox.add_fault("status", status=500, path=r"\.git/info/refs$")
    with pytest.raises(GitFailedError, match="500"):
        await stage.checkout.git("ls-remote", stage.url)
    await stage.checkout.git("ls-remote", stage.url)


async def test_faults_are_listed_and_taken_back(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.add_fault("status", count=5)
    assert [fault.count for fault in await stage.sandbox.faults()] == [5]
    await stage.sandbox.clear_faults()
    assert (await rest("GET", "/repos/ada/demo")).status_code == 200


async def test_impossible_faults_are_refused(sandbox: Sandbox) -> None:
    wrong: list[dict[str, Any]] = [
        {"count": 0},
        {"count": 10**9},
        {"seconds": -1.0},
        {"seconds": 10**9},
        {"path": "("},
        {"status": 999},
    ]
    for one in wrong:
        with pytest.raises(Refusal):
            await sandbox.add_fault("status", **one)
