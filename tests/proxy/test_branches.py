"""What the store knows of a branch."""

from binder.lifecycle import BuildState
from binder.store import Store
from binder.store.tables import Build, Decision, Preview, Repository
from proxy.branches import branch_of, last_good_build
from tests.proxy.rows import add_build, add_preview, add_repository

OLD, OLDER = "e" * 40, "f" * 40


async def staged(store: Store) -> tuple[Repository, Preview]:
    repository = await add_repository(store, default_branch="trunk")
    return repository, await add_preview(store, repository, "trunk")


async def last_good(store: Store, branch: Preview) -> Build | None:
    async with store.read() as session:
        return await last_good_build(session, branch)


async def test_a_branch_by_its_name_and_as_the_default_one(store: Store) -> None:
    repository, branch = await staged(store)
    await add_preview(store, repository, "gone", live=False)
    await add_preview(store, repository, "7", kind="pull")
    async with store.read() as session:
        found = [await branch_of(session, repository, ref) for ref in ("trunk", "HEAD", "gone", "7", "main")]
    assert [one.id if one else None for one in found] == [branch.id, branch.id, None, None, None]


async def test_the_last_good_build_is_the_newest_with_an_image(store: Store) -> None:
    repository, branch = await staged(store)
    assert await last_good(store, branch) is None
    older = await add_build(store, repository, sha=OLDER, preview_id=branch.id)
    await add_build(store, repository, sha=OLD, preview_id=branch.id, result={"image": None})
    await add_build(store, repository, BuildState.FAILED, preview_id=branch.id)
    found = await last_good(store, branch)
    assert found
    assert found.id == older.id


async def test_a_commit_that_was_a_pull_requests_first_counts_once_the_branch_was_at_it(store: Store) -> None:
    repository, branch = await staged(store)
    pull = await add_preview(store, repository, "7", kind="pull")
    build = await add_build(store, repository, sha=OLD, preview_id=pull.id)
    assert await last_good(store, branch) is None
    async with store.write() as session:
        values = {"repository_id": repository.id, "kind": "branch", "ref": "trunk", "sha": OLD}
        session.add(Decision(**values, cause="delivery", outcome="known"))
    found = await last_good(store, branch)
    assert found
    assert found.id == build.id


async def test_what_a_fork_built_is_not_the_branchs(store: Store) -> None:
    repository, branch = await staged(store)
    await add_build(store, repository, sha=OLD, preview_id=branch.id, untrusted=True)
    assert await last_good(store, branch) is None
