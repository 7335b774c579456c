"""Private repositories where people can sign in: they have previews, and who may have lost a right is asked again."""

import contextlib

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from binder.lifecycle import BuildState, SessionState
from binder.store.access import digest_of_cookie
from binder.store.tables import Preview, Repository, SignedIn, Visitor, utc_now
from githubapp.previews import DeliveryWorker
from githubapp.sandbox.oauth import agree, app_with_client_id
from githubapp.sandbox.sandbox import DEFAULT_EVENTS, DEFAULT_PERMISSIONS
from githubapp.visitors import Visitors
from tests.githubapp.workshop import Workshop


@pytest.fixture
async def signing(workshop: Workshop) -> Workshop:
    """A workshop of a service that people sign in to, whose App hears of members."""
    update = {
        "github_client_id": workshop.app.client_id,
        "github_client_secret": SecretStr(workshop.app.client_secret),
    }
    workshop.settings = workshop.settings.model_copy(update=update)
    workshop.worker = DeliveryWorker(workshop.store, workshop.client, workshop.settings)
    events = [*DEFAULT_EVENTS, "member"]
    await workshop.sandbox.set_permissions(workshop.app.app_id, permissions=DEFAULT_PERMISSIONS, events=events)
    await workshop.sandbox.accept_permissions(workshop.app.app_id, account="ada")
    return workshop


async def epoch_of(workshop: Workshop) -> int:
    """Return how often access to the repository was withdrawn."""
    (repository,) = await workshop.rows(Repository)
    return repository.access_epoch


async def bob_signs_in(workshop: Workshop) -> Visitor:
    """Sign Bob in, in one browser."""
    state, settings = workshop.sandbox.world.state, workshop.settings
    app = app_with_client_id(state, settings.github_client_id)
    assert app
    code = agree(state, app, "bob", f"{settings.url}/sign-in/github", None).code
    visitors = Visitors(workshop.store)
    visitors.begin_with(settings)
    with contextlib.closing(visitors):
        number = await visitors.sign_in(code, "")
    async with workshop.store.write() as session:
        session.add(SignedIn(digest=digest_of_cookie("t"), visitor_id=number, ends_at=utc_now()))
        return await session.get_one(Visitor, number)


async def test_a_private_repository_has_previews(signing: Workshop) -> None:
    await signing.sandbox.set_private("ada/demo", private=True)
    sha = await signing.push("First")
    await signing.act()
    await signing.finish(sha)
    assert [(row.ref, row.live) for row in await signing.rows(Preview)] == [("main", True)]
    shown = (await signing.statuses(sha))[-1]
    assert (shown.state, shown.target_url) == ("success", f"{signing.settings.url}/v2/gh/ada/demo/{sha}?urlpath=lab")


async def test_hiding_it_ends_no_preview_but_has_all_access_asked(signing: Workshop) -> None:
    sha = await signing.push("First")
    await signing.act()
    build = await signing.finish(sha)
    opened = await signing.add_session(build, SessionState.OPEN)
    before = await epoch_of(signing)
    await signing.happens(signing.sandbox.set_private("ada/demo", private=True))
    assert await epoch_of(signing) == before + 1
    assert [row.live for row in await signing.rows(Preview)] == [True]
    assert (await signing.session_states())[opened] is SessionState.OPEN, "who may keep it is asked by the proxy"
    await signing.happens(signing.sandbox.set_private("ada/demo", private=False))
    assert await epoch_of(signing) == before + 2


async def test_what_was_hidden_comes_back_once_people_can_sign_in(workshop: Workshop) -> None:
    sha = await workshop.push("First")
    await workshop.act()
    await workshop.finish(sha)
    await workshop.happens(workshop.sandbox.set_private("ada/demo", private=True))
    assert await workshop.rows_live() == []
    update = {"github_client_id": "i", "github_client_secret": SecretStr("s")}
    workshop.settings = workshop.settings.model_copy(update=update)
    await workshop.compare()
    assert [row.ref for row in await workshop.rows_live()] == ["main"]
    assert (await workshop.build(sha)).state is BuildState.SUCCEEDED


async def test_who_is_removed_is_asked_again(signing: Workshop) -> None:
    await signing.push("First")
    await signing.act()
    await signing.sandbox.set_role("ada/demo", login="bob", role="read")
    before = await epoch_of(signing)
    await signing.happens(signing.sandbox.set_role("ada/demo", login="bob", role=None))
    assert await epoch_of(signing) == before + 1


@pytest.mark.parametrize("what", ["suspended", "uninstalled", "removed"])
async def test_so_is_everybody_where_the_app_goes(signing: Workshop, what: str) -> None:
    await signing.push("First")
    await signing.act()
    before, box, app = await epoch_of(signing), signing.sandbox, signing.app.app_id
    if what == "suspended":
        await signing.happens(box.set_suspended(app, account="ada", suspended=True))
    else:
        repositories = ["ada/demo"] if what == "removed" else None
        await signing.happens(box.uninstall(app, account="ada", repositories=repositories))
    assert await epoch_of(signing) > before


async def test_whoever_takes_their_permission_back_is_signed_out(signing: Workshop) -> None:
    bob = await bob_signs_in(signing)
    assert bob.tokens
    await signing.happens(signing.sandbox.revoke_sign_in(signing.app.app_id, login="bob"))
    async with signing.store.read() as session:
        assert (await session.get_one(Visitor, bob.id)).tokens is None
        assert list(await session.scalars(select(SignedIn))) == []
