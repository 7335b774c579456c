"""Repositories, branches, refs, commits and statuses, through PyGithub and by hand."""

import asyncio

import pytest
from github import Github, GithubException

from githubapp.sandbox.rest_repositories import MOST_STATUSES
from githubapp.sandbox.values import ROLES, Role, Status
from tests.githubapp.sandbox.conftest import CONTEXT, Rest, Stage


async def test_pygithub_reads_a_repository(stage: Stage) -> None:
    await stage.push("On a branch", "feature/x", a="1")

    def read() -> None:
        with stage.as_installation() as client:
            repository = client.get_repo("ada/demo")
            assert (repository.default_branch, repository.private, repository.owner.login) == ("main", False, "ada")
            assert client.get_repo(repository.id).full_name == "ada/demo"
            assert [branch.name for branch in repository.get_branches()] == ["feature/x", "main"]
            assert repository.get_branch("feature/x").commit.commit.message == "On a branch"
            assert repository.get_git_ref("heads/main").object.sha == stage.first_sha
            commit = repository.get_commit("main")
            assert (commit.sha, commit.files[0].filename) == (stage.first_sha, "README.md")
            assert client.get_rate_limit().rate.limit == 5000

    await asyncio.to_thread(read)


async def test_pygithub_writes_statuses(stage: Stage) -> None:
    def write() -> None:
        with stage.as_installation() as client:
            commit = client.get_repo("ada/demo").get_commit(stage.first_sha)
            assert commit.get_combined_status().state == "pending"
            commit.create_status("pending", "http://binder.example.org/b/1", "Building", CONTEXT)
            commit.create_status("failure", description="No", context="other")
            assert commit.get_combined_status().state == "failure"
            commit.create_status("success", "http://binder.example.org/b/1", "Ready", CONTEXT)
            assert [status.state for status in commit.get_statuses()] == ["success", "failure", "pending"]
            combined = commit.get_combined_status()
            assert (combined.total_count, combined.state) == (2, "failure")
            assert next(iter(commit.get_statuses())).creator.login == "binder[bot]"

    await asyncio.to_thread(write)


async def test_a_commit_is_found_by_any_name(stage: Stage, rest: Rest) -> None:
    await stage.checkout.git("tag", "-m", "One", "v1")
    await stage.checkout.push(stage.url, "v1")
    for ref in ("main", "heads/main", "refs/heads/main", "v1", "tags/v1", stage.first_sha[:8], stage.first_sha):
        assert (await rest("GET", f"/repos/ada/demo/commits/{ref}")).json()["sha"] == stage.first_sha, ref


async def test_names_that_are_no_commit(stage: Stage, rest: Rest) -> None:
    for ref in ("missing", "0" * 40, "a..b", "-x", "main%20x", "main%00"):
        assert (await rest("GET", f"/repos/ada/demo/commits/{ref}")).status_code == 422, ref
    for path in ("branches/missing", "branches/-x", "git/ref/heads/mai", "git/ref/heads", "git/ref/heads/..%2Fx"):
        assert (await rest("GET", f"/repos/ada/demo/{path}")).status_code == 404, path
    await stage.sandbox.create_repository("ada/empty")
    for path in ("commits/main", "git/ref/heads/main"):
        assert (await rest("GET", f"/repos/ada/empty/{path}")).status_code == 409, path
    assert (await rest("GET", "/repos/ada/empty/branches")).json() == []


async def test_an_annotated_tag_is_a_tag(stage: Stage, rest: Rest) -> None:
    await stage.checkout.git("tag", "-m", "One", "v1")
    await stage.checkout.push(stage.url, "v1")
    assert (await rest("GET", "/repos/ada/demo/git/ref/tags/v1")).json()["object"]["type"] == "tag"


async def test_wrong_statuses_are_refused(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    wrong: list[tuple[dict[str, object], str | None]] = [
        ({"state": "success", "description": "x" * 141}, "description is too long (maximum is 140 characters)"),
        ({"state": "done"}, "state is not included in the list"),
        ({"state": "success", "context": "x" * 256}, "context is too long (maximum is 255 characters)"),
        ({"state": "success", "target_url": "javascript:alert(1)"}, "target_url must use http(s) scheme"),
        ({}, None),
        ({"state": 1}, None),
    ]
    for body, said in wrong:
        answer = await rest("POST", f"/repos/ada/demo/statuses/{stage.first_sha}", token=token, json=body)
        assert (answer.status_code, answer.json()["message"]) == (422, "Validation Failed")
        assert answer.json()["errors"][0].get("message") == said


async def test_a_status_needs_a_commit(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    for sha in ("0" * 40, "main", stage.first_sha[:10]):
        answer = await rest("POST", f"/repos/ada/demo/statuses/{sha}", token=token, json={"state": "success"})
        assert (answer.status_code, answer.json()["message"]) == (422, f"No commit found for SHA: {sha}")


async def test_there_is_an_end_to_the_statuses_of_a_context(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    path = f"/repos/ada/demo/statuses/{stage.first_sha}"
    body = {"state": "pending", "context": CONTEXT}
    assert (await rest("POST", path, token=token, json=body)).status_code == 201
    world = stage.sandbox.world
    kept: list[Status] = world.state.statuses[world.repository("ada/demo").id, stage.first_sha]
    kept.extend(kept * (MOST_STATUSES - 1))
    refused = await rest("POST", path, token=token, json=body)
    assert (refused.status_code, "maximum number" in refused.json()["errors"][0]["message"]) == (422, True)
    assert (await rest("POST", path, token=token, json={**body, "context": "other"})).status_code == 201


async def test_permissions_are_folded_and_named(stage: Stage) -> None:
    folded = {"read": "read", "triage": "read", "write": "write", "maintain": "write", "admin": "admin"}

    def read(role: Role) -> None:
        with stage.as_installation() as client:
            repository = client.get_repo("ada/demo")
            assert repository.get_collaborator_permission("bob") == folded[role]
            assert repository.get_collaborator_role_name("bob") == role
            assert repository.get_collaborator_permission("ada") == "admin"

    for role in ROLES:
        await stage.sandbox.set_role("ada/demo", login="bob", role=role)
        await asyncio.to_thread(read, role)


async def test_strangers_read_what_is_public_and_nothing_else(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    path = "/repos/ada/demo/collaborators/bob/permission"
    assert (await rest("GET", path, token=token)).json()["permission"] == "read"
    await stage.sandbox.set_private("ada/demo", private=True)
    assert (await rest("GET", path, token=token)).json()["permission"] == "none"
    assert (await rest("GET", "/repos/ada/demo/collaborators/nobody/permission", token=token)).status_code == 404


async def test_a_hidden_repository_does_not_exist(stage: Stage, rest: Rest) -> None:
    bobs = stage.sandbox.world.account("bob").token
    assert (await rest("GET", "/repos/ada/demo", token=bobs)).status_code == 200
    await stage.sandbox.set_private("ada/demo", private=True)
    for token in (None, bobs):
        answer = await rest("GET", "/repos/ada/demo", token=token)
        assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")
    assert (await rest("GET", "/repos/ada/demo", token=stage.sandbox.world.account("ada").token)).status_code == 200


async def test_a_stranger_writes_nothing(stage: Stage, rest: Rest) -> None:
    path = f"/repos/ada/demo/statuses/{stage.first_sha}"
    body = {"state": "success"}
    assert (await rest("POST", path, json=body)).status_code == 401
    assert (await rest("POST", path, json=body, token=stage.sandbox.world.account("bob").token)).status_code == 403


async def test_a_renamed_repository_leads_on(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.rename_repository("ada/demo", name="renamed")
    moved = await rest("GET", "/repos/ada/demo/branches?per_page=1")
    assert moved.status_code == 301
    assert moved.headers["location"].endswith("/branches?per_page=1")

    def read() -> str:
        with Github(base_url=stage.sandbox.api_url) as client:
            return client.get_repo("ada/demo").full_name

    assert await asyncio.to_thread(read) == "ada/renamed"
    assert (await stage.heard()) == ["repository.renamed"]
    (payload,) = stage.receiver.of("repository")
    assert payload["changes"] == {"repository": {"name": {"from": "demo"}}}


async def test_pygithub_says_what_was_wrong(stage: Stage) -> None:
    def write() -> None:
        with stage.as_installation() as client:
            client.get_repo("ada/demo").get_commit(stage.first_sha).create_status("success", description="x" * 141)

    with pytest.raises(GithubException) as caught:
        await asyncio.to_thread(write)
    assert caught.value.status == 422
