"""Accounts, Apps, repositories and installations."""

import asyncio

import pytest

from githubapp.sandbox.access import Refusal
from githubapp.sandbox.sandbox import Sandbox
from tests.githubapp.sandbox.conftest import Rest, Stage


async def test_impossible_and_taken_names_are_refused(sandbox: Sandbox) -> None:
    await sandbox.create_user("ada")
    for login in ("ada", "ADA", "-x", "", "a b", "sandbox", "../x"):
        with pytest.raises(Refusal):
            await sandbox.create_user(login)
    await sandbox.create_repository("ada/demo")
    for name in ("ada/demo", "ADA/Demo", "ada/..", "ada/x.git", "nobody/x", "ada", "ada/a/b"):
        with pytest.raises(Refusal):
            await sandbox.create_repository(name)


async def test_repositories_of_one_name_made_at_once_are_one(sandbox: Sandbox) -> None:
    await sandbox.create_user("ada")
    made = await asyncio.gather(*(sandbox.create_repository("ada/demo") for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(one, Refusal) for one in made) == 2


async def test_secrets_are_not_in_representations(stage: Stage) -> None:
    world = stage.sandbox.world
    token = await asyncio.to_thread(stage.installation_token)
    shown = repr([world.state.apps, world.state.accounts, list(world.state.tokens.values()), stage.app])
    assert "not much of a secret" not in shown
    assert token not in shown
    assert "PRIVATE KEY" not in shown
    assert (world.account("ada").token or "?") not in shown


async def test_an_installation_grows_shrinks_and_ends(stage: Stage) -> None:
    box, app = stage.sandbox, stage.app.app_id
    await box.create_repository("ada/second")
    await box.install(app, account="ada", repositories=["ada/second"])
    await box.install(app, account="ada", repositories=["ada/second"])
    await box.uninstall(app, account="ada", repositories=["ada/demo"])
    await stage.push("Unheard")
    await box.uninstall(app, account="ada")
    assert await stage.heard() == [
        "installation_repositories.added",
        "installation_repositories.removed",
        "installation.deleted",
    ]
    added, removed = stage.receiver.of("installation_repositories")
    assert [one["full_name"] for one in added["repositories_added"]] == ["ada/second"]
    assert [one["full_name"] for one in removed["repositories_removed"]] == ["ada/demo"]
    with pytest.raises(Refusal):
        await box.uninstall(app, account="ada")


async def test_an_installation_on_everything_covers_what_comes(stage: Stage) -> None:
    await stage.sandbox.install(stage.app.app_id, account="ada")
    await stage.sandbox.create_repository("ada/later")
    await stage.checkout.push(stage.sandbox.clone_url("ada/later", login="ada"))
    assert "push" in await stage.heard()


async def test_an_installation_is_of_one_account(stage: Stage) -> None:
    await stage.sandbox.create_repository("bob/his")
    with pytest.raises(Refusal):
        await stage.sandbox.install(stage.app.app_id, account="ada", repositories=["bob/his"])


async def test_a_suspended_app_hears_nothing(stage: Stage) -> None:
    await stage.sandbox.set_suspended(stage.app.app_id, account="ada", suspended=True)
    await stage.push("Unheard")
    assert await stage.heard() == ["installation.suspend"]


async def test_visibility_and_archiving_are_told(stage: Stage) -> None:
    for private in (True, False):
        await stage.sandbox.set_private("ada/demo", private=private)
    for archived in (True, False):
        await stage.sandbox.set_archived("ada/demo", archived=archived)
    told = ["privatized", "publicized", "archived", "unarchived"]
    assert await stage.heard() == [f"repository.{action}" for action in told]


async def test_a_deleted_repository_is_gone(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.delete_repository("ada/demo")
    assert await stage.heard() == ["repository.deleted"]
    assert (await rest("GET", "/repos/ada/demo")).status_code == 404
    again = await stage.sandbox.create_repository("ada/demo")
    assert (await rest("GET", f"/repositories/{again.id}")).status_code == 200


async def test_a_fork_has_its_parents_branches(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.fork("ada/demo", owner="bob", name="mine")
    listed = await stage.checkout.git("ls-remote", stage.sandbox.clone_url("bob/mine"), "refs/heads/main")
    assert listed.startswith(stage.first_sha)
    body = (await rest("GET", "/repos/bob/mine")).json()
    assert (body["fork"], body["parent"]["full_name"]) == (True, "ada/demo")
    assert (await rest("GET", "/repos/ada/demo")).json()["forks_count"] == 1


async def test_a_name_that_was_given_up_can_be_taken(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.rename_repository("ada/demo", name="renamed")
    taken = await stage.sandbox.create_repository("ada/demo")
    assert (await rest("GET", "/repos/ada/demo")).json()["id"] == taken.id


async def test_a_transferred_repository_leads_on_and_only_the_new_owner_hears(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.transfer_repository("ada/demo", owner="bob")
    assert await stage.heard() == [], "the App is not Bob's"
    assert (await rest("GET", "/repos/ada/demo")).status_code == 301
    await stage.sandbox.create_user("lab", kind="Organization")
    await stage.sandbox.install(stage.app.app_id, account="lab")
    await stage.sandbox.transfer_repository("bob/demo", owner="lab")
    await stage.sandbox.install(stage.app.app_id, account="ada")
    await stage.sandbox.transfer_repository("lab/demo", owner="ada")
    heard = [name for name in await stage.heard() if name.startswith("repository.")]
    assert heard == ["repository.transferred", "repository.transferred"]
    to_lab, to_ada = stage.receiver.of("repository")
    assert (to_lab["repository"]["full_name"], to_ada["repository"]["full_name"]) == ("lab/demo", "ada/demo")
    assert to_lab["changes"]["owner"]["from"]["user"]["login"] == "bob"
    assert to_ada["changes"]["owner"]["from"]["organization"]["login"] == "lab"
    assert (await rest("GET", "/repos/bob/demo")).status_code == 301
    await stage.sandbox.create_repository("bob/demo")
    with pytest.raises(Refusal):
        await stage.sandbox.transfer_repository("ada/demo", owner="bob")


async def test_another_default_branch_is_told(stage: Stage, rest: Rest) -> None:
    await stage.push("Work", "topic")
    await stage.sandbox.set_default_branch("ada/demo", branch="topic")
    assert (await stage.heard())[-1] == "repository.edited"
    (payload,) = stage.receiver.of("repository")
    assert payload["changes"] == {"default_branch": {"from": "main"}}
    assert (await rest("GET", "/repos/ada/demo")).json()["default_branch"] == "topic"
    assert "ref: refs/heads/topic" in await stage.checkout.git("ls-remote", "--symref", stage.url, "HEAD")
    with pytest.raises(Refusal):
        await stage.sandbox.set_default_branch("ada/demo", branch="missing")


async def test_nothing_is_written_to_an_archived_repository(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.set_archived("ada/demo", archived=True)
    token = await asyncio.to_thread(stage.installation_token)
    path = f"/repos/ada/demo/statuses/{stage.first_sha}"
    refused = await rest("POST", path, token=token, json={"state": "success"})
    assert (refused.status_code, refused.json()["message"]) == (403, "Repository was archived so is read-only.")
    assert (await rest("GET", "/repos/ada/demo/branches", token=token)).status_code == 200


async def test_a_new_permission_needs_consent(stage: Stage, rest: Rest) -> None:
    app = stage.app.app_id
    await stage.sandbox.set_permissions(app, permissions={"metadata": "read", "actions": "read"}, events=["push"])
    path = "/repos/ada/demo/environments"
    before = await asyncio.to_thread(stage.installation_token)
    assert (await rest("GET", path, token=before)).status_code == 403
    await stage.sandbox.accept_permissions(app, account="ada")
    assert await stage.heard() == ["installation.new_permissions_accepted"]
    after = await asyncio.to_thread(stage.installation_token)
    assert (await rest("GET", path, token=after)).status_code == 200
    (payload,) = stage.receiver.of("installation")
    assert payload["installation"]["permissions"]["actions"] == "read"


async def test_a_deleted_repository_is_out_of_its_installation(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.create_repository("ada/second")
    await stage.sandbox.install(stage.app.app_id, account="ada", repositories=["ada/second"])
    await stage.sandbox.delete_repository("ada/second")
    token = await asyncio.to_thread(stage.installation_token)
    listed = (await rest("GET", "/installation/repositories", token=token)).json()
    assert [one["full_name"] for one in listed["repositories"]] == ["ada/demo"]


async def test_a_new_repository_is_told_to_an_app_on_everything(stage: Stage) -> None:
    await stage.sandbox.create_repository("ada/unheard")
    await stage.sandbox.install(stage.app.app_id, account="ada")
    await stage.sandbox.create_repository("ada/heard")
    assert await stage.heard() == ["installation_repositories.added", "repository.created"]
