"""Pull requests: opened, changed, pushed to, from forks."""

import asyncio

import pytest

from githubapp.sandbox.access import Refusal
from githubapp.sandbox.values import PullRequest
from tests.githubapp.sandbox.conftest import Rest, Stage


async def _open(stage: Stage) -> PullRequest:
    await stage.push("Work", "topic", topic="1")
    pull = await stage.sandbox.open_pull_request("ada/demo", author="ada", head="topic", title="A topic")
    await stage.sandbox.settled()
    stage.receiver.received.clear()
    return pull


async def _pull_ref(stage: Stage, number: int) -> str:
    listed = await stage.checkout.git("ls-remote", stage.url, f"refs/pull/{number}/head")
    return listed.split("\t")[0]


async def test_an_opened_pull_request_is_told_and_has_a_ref(stage: Stage) -> None:
    sha = await stage.push("Work", "topic", topic="1")
    await stage.sandbox.open_pull_request(
        "ada/demo", author="ada", head="topic", title="A topic", body="Look", draft=True
    )
    assert (await stage.heard())[-1] == "pull_request.opened"
    (payload,) = stage.receiver.of("pull_request")
    pull = payload["pull_request"]
    assert (payload["number"], pull["head"]["sha"], pull["base"]["ref"], pull["draft"]) == (1, sha, "main", True)
    assert (pull["commits"], pull["changed_files"], pull["additions"]) == (1, 1, 1)
    assert pull["head"]["repo"]["id"] == pull["base"]["repo"]["id"]
    assert await _pull_ref(stage, 1) == sha


async def test_a_push_to_its_branch_moves_it(stage: Stage) -> None:
    pull = await _open(stage)
    sha = await stage.push("More", "topic", topic="2")
    assert await stage.heard() == ["push", "pull_request.synchronize"]
    (payload,) = stage.receiver.of("pull_request")
    assert (payload["before"], payload["after"]) == (pull.head_sha, sha)
    assert payload["pull_request"]["head"]["sha"] == sha
    assert await _pull_ref(stage, 1) == sha


async def test_deleting_its_branch_closes_it(stage: Stage) -> None:
    await _open(stage)
    await stage.checkout.push(stage.url, ":refs/heads/topic")
    assert await stage.heard() == ["delete", "push", "pull_request.closed"]


async def test_close_reopen_draft_and_edit(stage: Stage) -> None:
    pull = await _open(stage)
    await stage.push("Other base", "release", release="1")
    await stage.sandbox.settled()
    stage.receiver.received.clear()
    box, name, number = stage.sandbox, "ada/demo", pull.number
    await box.close_pull_request(name, number)
    await box.close_pull_request(name, number)
    await box.reopen_pull_request(name, number)
    await box.set_draft(name, number, draft=True)
    await box.set_draft(name, number, draft=False)
    await box.edit_pull_request(name, number, title="Another", body="Text")
    await box.edit_pull_request(name, number, base="release")
    await box.edit_pull_request(name, number, base="release")
    assert await stage.heard() == [
        "pull_request.closed",
        "pull_request.reopened",
        "pull_request.converted_to_draft",
        "pull_request.ready_for_review",
        "pull_request.edited",
        "pull_request.edited",
    ]
    titled, moved = stage.receiver.of("pull_request")[-2:]
    assert titled["changes"] == {"title": {"from": "A topic"}, "body": {"from": ""}}
    assert moved["changes"]["base"]["ref"] == {"from": "main"}


async def test_a_pull_request_from_a_fork_reaches_the_base(stage: Stage) -> None:
    await stage.sandbox.fork("ada/demo", owner="bob")
    bobs = stage.sandbox.clone_url("bob/demo", login="bob")
    first = await stage.checkout.commit("From Bob", bob="1")
    await stage.checkout.push(bobs, "HEAD:refs/heads/topic")
    assert await stage.heard() == [], "the fork has no App"
    await stage.sandbox.open_pull_request("ada/demo", author="bob", head="bob:topic", title="From a fork")
    second = await stage.checkout.commit("More from Bob", bob="2")
    await stage.checkout.push(bobs, "HEAD:refs/heads/topic")
    assert await stage.heard() == ["pull_request.opened", "pull_request.synchronize"]
    opened, moved = stage.receiver.of("pull_request")
    head, base = opened["pull_request"]["head"], opened["pull_request"]["base"]
    assert (head["repo"]["full_name"], base["repo"]["full_name"]) == ("bob/demo", "ada/demo")
    assert head["repo"]["fork"] is True
    assert opened["repository"]["full_name"] == "ada/demo"
    assert opened["pull_request"]["author_association"] == "NONE"
    assert (moved["before"], moved["after"]) == (first, second)
    assert await _pull_ref(stage, 1) == second, "the base can be asked for a fork's commit"
    await stage.checkout.git("fetch", "--depth=1", stage.url, second)


async def test_a_pull_request_outlives_the_fork_that_it_came_from(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.fork("ada/demo", owner="bob")
    await stage.checkout.commit("From Bob", bob="1")
    await stage.checkout.push(stage.sandbox.clone_url("bob/demo", login="bob"), "HEAD:refs/heads/topic")
    await stage.sandbox.open_pull_request("ada/demo", author="bob", head="bob:topic", title="From a fork")
    await stage.sandbox.delete_repository("bob/demo")
    assert (await rest("GET", "/repos/bob/demo")).status_code == 404
    assert (await rest("GET", "/repos/ada/demo/pulls")).json()[0]["head"]["repo"] is None
    await stage.sandbox.close_pull_request("ada/demo", 1)
    assert await stage.heard() == ["pull_request.opened", "pull_request.closed"]
    closed = stage.receiver.of("pull_request")[-1]
    assert (closed["pull_request"]["head"]["repo"], closed["pull_request"]["head"]["label"]) == (None, "bob:topic")
    with pytest.raises(Refusal):
        await stage.sandbox.reopen_pull_request("ada/demo", 1)


async def test_impossible_pull_requests_are_refused(stage: Stage) -> None:
    await stage.push("Work", "topic", topic="1")
    no_heads = ("missing", "stranger:topic", "main", "a..b", "")
    for head, base in [("topic", "missing"), *((head, None) for head in no_heads)]:
        with pytest.raises(Refusal) as caught:
            await stage.sandbox.open_pull_request("ada/demo", author="ada", head=head, base=base, title="No")
        assert caught.value.status == 422, head
    assert not stage.sandbox.world.state.pulls


async def test_there_is_one_pull_request_for_a_pair_of_branches(stage: Stage) -> None:
    await _open(stage)
    with pytest.raises(Refusal, match="Validation Failed"):
        await stage.sandbox.open_pull_request("ada/demo", author="ada", head="topic", title="Again")


async def test_comments_are_told(stage: Stage) -> None:
    await _open(stage)
    comment = await stage.sandbox.comment("ada/demo", 1, author="bob", body="/ok-to-test")
    await stage.sandbox.edit_comment(comment.id, body="edited")
    await stage.sandbox.delete_comment(comment.id)
    assert await stage.heard() == ["issue_comment.created", "issue_comment.edited", "issue_comment.deleted"]
    created, edited, _ = stage.receiver.of("issue_comment")
    assert created["issue"]["pull_request"]["html_url"].endswith("/ada/demo/pull/1")
    assert (created["comment"]["user"]["login"], created["comment"]["author_association"]) == ("bob", "NONE")
    assert edited["changes"] == {"body": {"from": "/ok-to-test"}}


async def test_empty_and_endless_comments_are_refused(stage: Stage) -> None:
    await _open(stage)
    for body in ("", "  \n", "x" * 65_537):
        with pytest.raises(Refusal):
            await stage.sandbox.comment("ada/demo", 1, author="bob", body=body)


async def test_labels_are_put_on_and_taken_off(stage: Stage, rest: Rest) -> None:
    await _open(stage)
    box, name = stage.sandbox, "ada/demo"
    for label, labelled in (("preview", True), ("preview", True), ("later", True), ("preview", False)):
        await box.set_label(name, 1, label=label, labelled=labelled)
    assert await stage.heard() == ["pull_request.labeled", "pull_request.labeled", "pull_request.unlabeled"]
    first, second, third = stage.receiver.of("pull_request")
    assert (first["label"], third["label"]["id"]) == (second["pull_request"]["labels"][0], first["label"]["id"])
    listed = (await rest("GET", "/repos/ada/demo/pulls/1")).json()["labels"]
    assert [one["name"] for one in listed] == ["later"]
    for wrong in ("", "x" * 51):
        with pytest.raises(Refusal):
            await box.set_label(name, 1, label=wrong)


async def test_an_app_comments_as_itself(stage: Stage) -> None:
    await _open(stage)

    def write() -> None:
        with stage.as_installation() as client:
            comment = client.get_repo("ada/demo").get_pull(1).create_issue_comment("Ready")
            comment.edit("Ready to open")
            comment.delete()

    await asyncio.to_thread(write)
    assert await stage.heard() == [f"issue_comment.{action}" for action in ("created", "edited", "deleted")]
    created, edited, deleted = stage.receiver.of("issue_comment")
    assert edited["changes"] == {"body": {"from": "Ready"}}
    for payload in (created, edited, deleted):
        assert (payload["sender"]["login"], payload["sender"]["type"]) == ("binder[bot]", "Bot")
        assert payload["comment"]["performed_via_github_app"]["id"] == stage.app.app_id
        assert payload["issue"]["pull_request"]["url"].endswith("/pulls/1")
