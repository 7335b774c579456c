"""What differs between GitHub and what is kept, and the life of a repository."""

import pytest

from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.store.tables import Preview, Repository
from githubapp.comparing import differences
from githubapp.events import Look
from githubapp.values import Place, PullRequest, RepositoryFacts
from tests.githubapp.payloads import OLD_SHA, SHA
from tests.githubapp.test_installations import busy, owed, states
from tests.githubapp.workshop import Workshop

FACTS = RepositoryFacts(Place(5, 1), "ada", "demo", False, "main")
PULL = PullRequest(7, True, SHA, 1, 1, "ada", "main", OLD_SHA, draft=False, labels=("a",))
OF_PULL = {"base_ref": "main", "draft": False, "labels": ["a"]}


def kept(ref: str, sha: str = SHA, *, live: bool = True, held: str | None = None, **facts: object) -> Preview:
    kind = "pull" if ref.isdigit() else "branch"
    return Preview(kind=kind, ref=ref, head_sha=sha, live=live, held=held, facts={**OF_PULL, **facts})


@pytest.mark.parametrize(
    ("branches", "pulls", "known", "expected"),
    [
        pytest.param([("main", SHA)], [], [kept("main")], [], id="nothing"),
        pytest.param([("main", SHA)], [], [kept("main", OLD_SHA)], [("main", SHA)], id="a push was missed"),
        pytest.param([("main", SHA)], [], [], [("main", SHA)], id="the default branch is looked at first"),
        pytest.param([("main", SHA), ("old", SHA)], [], [kept("main")], [], id="other branches are not"),
        pytest.param([], [], [], [], id="an empty repository"),
        pytest.param([], [], [kept("main")], [("main", None)], id="a deletion was missed"),
        pytest.param([], [], [kept("x", live=False)], [], id="one that ended is known to have"),
        pytest.param([("x", SHA)], [], [kept("x", live=False)], [("x", SHA)], id="and may be there again"),
        pytest.param([("x", SHA)], [], [kept("x", live=False, held="why")], [], id="one that nobody wants"),
        pytest.param([("x", SHA)], [], [kept("x", OLD_SHA, live=False, held="why")], [("x", SHA)], id="and moved"),
        pytest.param([], [PULL], [kept("7")], [], id="a pull request as it was"),
        pytest.param([], [PULL], [], [("7", SHA)], id="an opening was missed"),
        pytest.param([], [PULL], [kept("7", OLD_SHA)], [("7", SHA)], id="a push to it was missed"),
        pytest.param([], [PULL], [kept("7", live=False)], [("7", SHA)], id="a reopening was missed"),
        pytest.param([], [], [kept("7")], [("7", None)], id="a closing was missed"),
        pytest.param([], [], [kept("7", live=False, held="why")], [("7", None)], id="of one that nobody wanted, too"),
        pytest.param([], [], [kept("7", live=False)], [], id="it closed long ago"),
        pytest.param([], [PULL], [kept("7", labels=[])], [("7", SHA)], id="a label was missed"),
        pytest.param([], [PULL], [kept("7", draft=True)], [("7", SHA)], id="it is no draft any more"),
        pytest.param([], [PULL], [kept("7", base_ref="x")], [("7", SHA)], id="it has another base"),
    ],
)
def test_differences(
    branches: list[tuple[str, str]],
    pulls: list[PullRequest],
    known: list[Preview],
    expected: list[tuple[str, str | None]],
) -> None:
    looks = differences(FACTS, branches, pulls, known)
    assert looks == [Look("pull" if ref.isdigit() else "branch", ref, sha, 1, 5) for ref, sha in expected]


async def test_a_private_repository_is_gone_at_once(workshop: Workshop) -> None:
    _, building, sessions = await busy(workshop)
    await workshop.happens(workshop.sandbox.set_private("ada/demo", private=True))
    (repository,) = await workshop.rows(Repository)
    assert (repository.private, repository.installation_id is not None) == (True, True)
    assert await states(workshop, sessions) == [SessionState.ENDED, SessionState.ENDED]
    assert await workshop.rows_live() == []
    shown = (await workshop.statuses(building))[-1]
    assert shown.state == "error"
    assert (shown.description or "").startswith("Cancelled: the repository is private")
    await workshop.happens(workshop.sandbox.set_private("ada/demo", private=False))
    assert [row.ref for row in await workshop.rows_live()] == ["change", "main"]
    assert (await workshop.build(building)).state is BuildState.QUEUED


async def test_an_archived_repository_keeps_what_is_open(workshop: Workshop) -> None:
    _, building, sessions = await busy(workshop)
    await workshop.happens(workshop.sandbox.set_archived("ada/demo", archived=True))
    assert (await workshop.build(building)).state is BuildState.CANCELLED
    assert await states(workshop, sessions) == [SessionState.ENDED, SessionState.OPEN]
    assert await owed(workshop) == []
    await workshop.happens(workshop.sandbox.set_archived("ada/demo", archived=False))
    assert [row.ref for row in await workshop.rows_live()] == ["change", "main"]
    assert (await workshop.statuses(building))[-1].description == "Queued"


async def test_a_deleted_repository(workshop: Workshop) -> None:
    _, building, sessions = await busy(workshop)
    await workshop.happens(workshop.sandbox.delete_repository("ada/demo"))
    (repository,) = await workshop.rows(Repository)
    assert repository.installation_id is None
    assert (await workshop.build(building)).state is BuildState.CANCELLED
    assert await states(workshop, sessions) == [SessionState.ENDED, SessionState.ENDED]
    delivery = await workshop.last_delivery("repository")
    assert (delivery.state, delivery.reason) == (DeliveryState.ACTED, "the App is not installed on the repository")


async def test_a_renamed_repository_keeps_its_row_and_its_previews(workshop: Workshop) -> None:
    _, building, sessions = await busy(workshop)
    await workshop.happens(workshop.sandbox.rename_repository("ada/demo", name="other"))
    (repository,) = await workshop.rows(Repository)
    assert repository.full_name == "ada/other"
    assert (await workshop.build(building)).state is BuildState.QUEUED
    assert await states(workshop, sessions) == [SessionState.STANDBY, SessionState.OPEN]
    assert len(await workshop.rows_live()) == 2


async def test_a_transferred_repository_keeps_its_row_where_the_app_is(workshop: Workshop) -> None:
    _, building, _ = await busy(workshop)
    await workshop.sandbox.install(workshop.app.app_id, account="bob")
    await workshop.happens(workshop.sandbox.transfer_repository("ada/demo", owner="bob"))
    await workshop.compare()
    (repository,) = await workshop.rows(Repository)
    assert repository.full_name == "bob/demo"
    found = workshop.sandbox.world.state.installation(workshop.app.app_id, "bob")
    assert found
    assert repository.installation_id == found.id
    assert len(await workshop.rows_live()) == 2
    assert (await workshop.build(building)).state is BuildState.QUEUED


async def test_a_transferred_repository_ends_where_the_app_is_not(workshop: Workshop) -> None:
    _, _, sessions = await busy(workshop)
    await workshop.happens(workshop.sandbox.transfer_repository("ada/demo", owner="bob"))
    await workshop.compare()
    assert await workshop.rows_live() == []
    assert await states(workshop, sessions) == [SessionState.ENDED, SessionState.ENDED]


async def test_another_default_branch_is_looked_at(workshop: Workshop) -> None:
    await busy(workshop)
    await workshop.sandbox.add_fault("vanished", event="push")
    await workshop.sandbox.add_fault("vanished", event="create")
    sha = await workshop.push("Trunk", "trunk")
    await workshop.happens(workshop.sandbox.set_default_branch("ada/demo", branch="trunk"))
    (repository,) = await workshop.rows(Repository)
    assert repository.default_branch == "trunk"
    assert len(await workshop.builds(sha)) == 1
