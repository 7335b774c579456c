"""Pull requests, their files and their comments, through PyGithub and by hand."""

import asyncio

import pytest

from tests.githubapp.sandbox.conftest import Rest, Stage

Token = str


@pytest.fixture
async def token(stage: Stage) -> Token:
    """Of an App that may write comments, on a stage with one pull request."""
    await stage.push("Work", "topic", topic="1\n2\n")
    await stage.sandbox.open_pull_request("ada/demo", author="ada", head="topic", title="A topic")
    return await asyncio.to_thread(stage.installation_token)


async def test_pygithub_reads_pull_requests(stage: Stage, token: Token) -> None:
    assert token

    def read() -> None:
        with stage.as_installation() as client:
            repository = client.get_repo("ada/demo")
            (pull,) = repository.get_pulls()
            assert (pull.number, pull.head.ref, pull.base.ref) == (1, "topic", "main")
            assert [file.filename for file in repository.get_pull(1).get_files()] == ["topic.md"]
            assert repository.get_pull(1).additions == 2
            assert list(repository.get_pulls(state="closed")) == []
            assert [pull.number for pull in repository.get_pulls(state="all", head="ada:topic", base="main")] == [1]

    await asyncio.to_thread(read)


async def test_a_renamed_file_is_one_change(stage: Stage, token: Token, rest: Rest) -> None:
    await stage.checkout.git("mv", "topic.md", "moved.md")
    await stage.push("Moved", "topic", README="# Hello again\n")
    await stage.checkout.git("rm", "--quiet", "README.md")
    await stage.push("Removed", "topic")
    files = (await rest("GET", "/repos/ada/demo/pulls/1/files", token=token)).json()
    assert [(file["filename"], file["status"], file["additions"]) for file in files] == [
        ("README.md", "removed", 0),
        ("moved.md", "added", 2),
    ]


async def test_pygithub_writes_comments(stage: Stage, token: Token) -> None:
    assert token

    def write() -> None:
        with stage.as_installation() as client:
            pull = client.get_repo("ada/demo").get_pull(1)
            comment = pull.create_issue_comment("<!-- binder -->\nBuilding")
            comment.edit("<!-- binder -->\nReady")
            (found,) = pull.get_issue_comments()
            assert (found.body, found.user.login, found.user.type) == ("<!-- binder -->\nReady", "binder[bot]", "Bot")
            assert pull.get_issue_comment(comment.id).id == comment.id
            comment.delete()
            assert list(pull.get_issue_comments()) == []

    await asyncio.to_thread(write)
    assert (await stage.heard())[-3:] == ["issue_comment.created", "issue_comment.edited", "issue_comment.deleted"]
    assert stage.receiver.of("issue_comment")[0]["comment"]["performed_via_github_app"]["slug"] == "binder"


async def test_a_deleted_comment_is_gone(stage: Stage, token: Token, rest: Rest) -> None:
    comment = await stage.sandbox.comment("ada/demo", 1, author="ada", body="Hello")
    path = f"/repos/ada/demo/issues/comments/{comment.id}"
    assert (await rest("GET", path, token=token)).status_code == 200
    await stage.sandbox.delete_comment(comment.id)
    assert (await rest("PATCH", path, token=token, json={"body": "x"})).status_code == 404


async def test_nobody_changes_somebody_elses_comment(stage: Stage, token: Token, rest: Rest) -> None:
    comment = await stage.sandbox.comment("ada/demo", 1, author="ada", body="Hello")
    path = f"/repos/ada/demo/issues/comments/{comment.id}"
    for who in (token, stage.sandbox.world.account("bob").token):
        assert (await rest("PATCH", path, token=who, json={"body": "x"})).status_code == 403
        assert (await rest("DELETE", path, token=who)).status_code == 403
    assert (await rest("DELETE", path, token=stage.sandbox.world.account("ada").token)).status_code == 204


async def test_a_comment_of_another_repository_is_not_found_here(stage: Stage, token: Token, rest: Rest) -> None:
    await stage.sandbox.create_repository("ada/other")
    comment = await stage.sandbox.comment("ada/demo", 1, author="ada", body="Hello")
    assert (await rest("GET", f"/repos/ada/other/issues/comments/{comment.id}")).status_code == 404
    assert (await rest("GET", "/repos/ada/demo/issues/9/comments", token=token)).status_code == 404


async def test_comments_without_text_are_refused(stage: Stage, token: Token, rest: Rest) -> None:
    empty: list[dict[str, object]] = [{}, {"body": ""}, {"body": None}, {"body": 5}]
    for body in empty:
        answer = await rest("POST", "/repos/ada/demo/issues/1/comments", token=token, json=body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body")
    assert stage.sandbox.world.state.comments == {}


async def test_people_comment_with_their_own_token(stage: Stage, token: Token, rest: Rest) -> None:
    assert token
    bobs = stage.sandbox.world.account("bob").token
    answer = await rest("POST", "/repos/ada/demo/issues/1/comments", token=bobs, json={"body": "Nice"})
    assert (answer.status_code, answer.json()["user"]["login"]) == (201, "bob")
    assert (await rest("POST", "/repos/ada/demo/issues/1/comments", json={"body": "Nice"})).status_code == 401


async def test_pull_requests_are_listed_as_asked(stage: Stage, token: Token, rest: Rest) -> None:
    await stage.push("Second", "second", second="1")
    await stage.sandbox.open_pull_request("ada/demo", author="ada", head="second", title="Second")
    numbers = [one["number"] for one in (await rest("GET", "/repos/ada/demo/pulls", token=token)).json()]
    assert numbers == [2, 1]
    upwards = (await rest("GET", "/repos/ada/demo/pulls?direction=asc", token=token)).json()
    assert [one["number"] for one in upwards] == [1, 2]
    assert (await rest("GET", "/repos/ada/demo/pulls?state=merged", token=token)).status_code == 422
