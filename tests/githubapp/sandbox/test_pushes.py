"""What a push sets off."""

from typing import Any

from githubapp.sandbox.names import NO_COMMIT
from githubapp.sandbox.pushes import RefChange, announced, ref_changes
from tests.githubapp.sandbox.conftest import Stage


def test_refs_come_move_and_go() -> None:
    before = {"refs/heads/a": "1", "refs/heads/b": "2", "refs/heads/same": "3"}
    after = {"refs/heads/a": "4", "refs/heads/c": "5", "refs/heads/same": "3"}
    changes = ref_changes(before, after)
    assert changes == [
        RefChange("refs/heads/a", "1", "4"),
        RefChange("refs/heads/b", "2", NO_COMMIT),
        RefChange("refs/heads/c", NO_COMMIT, "5"),
    ]
    assert [change.deleted for change in changes] == [False, True, False]


def test_more_than_three_tags_are_not_announced() -> None:
    branch = RefChange("refs/heads/a", "1", "2")
    tags = [RefChange(f"refs/tags/{number}", NO_COMMIT, "1") for number in range(4)]
    assert announced([branch, *tags]) == [branch]
    assert announced([branch, *tags[:3]]) == [branch, *tags[:3]]


async def _only_push(stage: Stage) -> dict[str, Any]:
    await stage.sandbox.settled()
    (payload,) = stage.receiver.of("push")
    return payload


async def test_a_push_says_what_moved(stage: Stage) -> None:
    sha = await stage.push("Second\n\nwith a body", README="# Hello again", extra="x")
    payload = await _only_push(stage)
    assert (payload["ref"], payload["before"], payload["after"]) == ("refs/heads/main", stage.first_sha, sha)
    assert (payload["created"], payload["deleted"], payload["forced"]) == (False, False, False)
    assert payload["head_commit"] == payload["commits"][-1]
    assert payload["head_commit"]["message"] == "Second\n\nwith a body"
    assert payload["head_commit"]["added"] == ["extra.md"]
    assert payload["head_commit"]["modified"] == ["README.md"]
    assert payload["sender"]["login"] == "ada"
    assert payload["installation"]["id"] in stage.sandbox.world.state.installations


async def test_only_a_push_writes_times_as_numbers(stage: Stage) -> None:
    await stage.push("Second")
    repository = (await _only_push(stage))["repository"]
    assert isinstance(repository["created_at"], int)
    assert isinstance(repository["pushed_at"], int)
    assert repository["owner"]["name"] == "ada"


async def test_several_commits_come_oldest_first(stage: Stage) -> None:
    await stage.checkout.commit("Second", a="1")
    await stage.push("Third", b="1")
    assert [commit["message"] for commit in (await _only_push(stage))["commits"]] == ["Second", "Third"]


async def test_a_new_branch_is_created_and_pushed(stage: Stage) -> None:
    sha = await stage.push("On a branch", "feature/x", a="1")
    assert await stage.heard() == ["create", "push"]
    create, push = stage.receiver.of("create")[0], stage.receiver.of("push")[0]
    assert (create["ref"], create["ref_type"], create["master_branch"]) == ("feature/x", "branch", "main")
    assert (push["before"], push["after"], push["created"]) == (NO_COMMIT, sha, True)
    assert [commit["id"] for commit in push["commits"]] == [sha]


async def test_a_new_branch_without_new_commits_has_a_head_all_the_same(stage: Stage) -> None:
    await stage.checkout.push(stage.url, "HEAD:refs/heads/copy")
    payload = await _only_push(stage)
    assert payload["commits"] == []
    assert payload["head_commit"]["id"] == stage.first_sha


async def test_a_deleted_branch_has_no_head(stage: Stage) -> None:
    await stage.checkout.push(stage.url, "HEAD:refs/heads/copy")
    await stage.checkout.push(stage.url, ":refs/heads/copy")
    assert await stage.heard() == ["create", "push", "delete", "push"]
    payload = stage.receiver.of("push")[-1]
    assert (payload["after"], payload["deleted"], payload["head_commit"]) == (NO_COMMIT, True, None)


async def test_a_forced_push_says_so(stage: Stage) -> None:
    await stage.push("Second", a="1")
    await stage.checkout.git("reset", "--quiet", "--hard", "HEAD~1")
    await stage.checkout.commit("Other", b="1")
    await stage.checkout.push(stage.url, "+HEAD:refs/heads/main")
    await stage.sandbox.settled()
    assert [payload["forced"] for payload in stage.receiver.of("push")] == [False, True]


async def test_tags_light_and_annotated(stage: Stage) -> None:
    await stage.checkout.git("tag", "light")
    await stage.checkout.git("tag", "-m", "A tag", "heavy")
    await stage.checkout.push(stage.url, "light", "heavy")
    assert await stage.heard() == ["create", "push", "create", "push"]
    heavy, light = stage.receiver.of("push")
    assert heavy["head_commit"]["id"] == light["head_commit"]["id"] == stage.first_sha
    assert heavy["after"] != stage.first_sha


async def test_a_merge_is_pushed(stage: Stage) -> None:
    await stage.checkout.git("checkout", "--quiet", "-b", "side")
    await stage.checkout.commit("On the side", side="1")
    await stage.checkout.git("checkout", "--quiet", "main")
    await stage.checkout.commit("Ahead", ahead="1")
    await stage.checkout.git("merge", "--quiet", "--no-ff", "-m", "Merged", "side")
    await stage.checkout.push(stage.url)
    payload = await _only_push(stage)
    assert {commit["message"] for commit in payload["commits"]} == {"On the side", "Ahead", "Merged"}


async def test_the_first_branch_becomes_the_default_one(stage: Stage) -> None:
    await stage.sandbox.create_repository("ada/other")
    await stage.checkout.push(stage.sandbox.clone_url("ada/other", login="ada"), "HEAD:refs/heads/trunk")
    assert stage.sandbox.world.repository("ada/other").default_branch == "trunk"
    listed = await stage.checkout.git("ls-remote", "--symref", stage.sandbox.clone_url("ada/other"), "HEAD")
    assert "refs/heads/trunk" in listed


async def test_nothing_is_said_of_a_repository_without_the_app(stage: Stage) -> None:
    await stage.sandbox.create_repository("ada/other")
    await stage.checkout.push(stage.sandbox.clone_url("ada/other", login="ada"))
    assert await stage.heard() == []
