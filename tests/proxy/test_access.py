"""Private repositories on every page: there for those whom GitHub shows them, for all others as if they were not."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from sqlalchemy import func, select, update

from binder.lifecycle import BuildState, SessionState
from binder.settings import Settings
from binder.store.access import withdraw_access
from binder.store.tables import Build, Decision, Grant, Repository, Session, Visitor, utc_now
from proxy.context import ProxyContext
from proxy.viewers import GRANTED_FOR
from tests.proxy.door import PRIVATE, Door, open_door
from tests.proxy.rows import SHA, add_bill, add_build, add_log, add_preview, add_session, session_of

LINK = f"/v2/gh/{PRIVATE}/main"


@pytest.fixture
async def door(context: ProxyContext, tmp_path: Path) -> AsyncIterator[Door]:
    """A service with a private repository, whose commit is built and waits."""
    async with open_door(context, tmp_path) as opened:
        preview = await add_preview(opened.store, opened.secret, "main")
        await add_build(opened.store, opened.secret, preview_id=preview.id)
        yield opened


async def its_build(door: Door) -> Build:
    """Return the one build."""
    async with door.store.read() as session:
        return (await session.scalars(select(Build))).one()


async def pages_of(door: Door) -> dict[str, str]:
    """Return every address that is about the private repository → the same of one that is not there."""
    build = await its_build(door)
    await add_log(door.store, build, "a secret of Ada's\n")
    await add_bill(door.store, build, b"{}")
    ended = await add_session(door.store, build, SessionState.ENDED)
    other = ended.id[:-1] + ("a" if ended.id[-1] != "a" else "b")
    addresses = {
        LINK: "/v2/gh/ada/nothing/main",
        f"/v2/gh/{PRIVATE}/{SHA}": f"/v2/gh/ada/nothing/{SHA}",
        f"/v2/gh/{PRIVATE}/HEAD?urlpath=lab": "/v2/gh/ada/nothing/HEAD?urlpath=lab",
        f"/why/gh/{PRIVATE}/{SHA}": f"/why/gh/ada/nothing/{SHA}",
    }
    for one in ("/builds/{}", "/builds/{}/log", "/builds/{}/sbom.json", "/launch/events?build={}"):
        addresses[one.format(build.id)] = one.format(build.id + 1000)
    addresses[f"/s/{ended.id}/doc/tree/a.ipynb"] = f"/s/{other}/doc/tree/a.ipynb"
    return addresses


def said_by(page: httpx.Response, address: str) -> tuple[int, str, dict[str, str]]:
    """Return what a page says, but for what differs each time and for the address that was asked for."""
    nonce = page.headers["content-security-policy"].partition("'nonce-")[2].partition("'")[0]
    text = page.text.replace(nonce, "").replace(f'?{urlencode({"return": address})}"', '?A"')
    for name in ("secret", "nothing"):
        text = text.replace(f"ada/{name} ", "ada/NAME ")
    headers = {name: value.replace(nonce, "") for name, value in page.headers.items() if name != "content-length"}
    return page.status_code, text, headers


@pytest.mark.parametrize("who", ["nobody", "eve"])
async def test_to_others_it_is_as_one_that_is_not_there(door: Door, who: str) -> None:
    await door.sandbox.create_repository("ada/other")
    browser = door.browser() if who == "nobody" else await door.signed_in(who)
    for address, nothing in (await pages_of(door)).items():
        page, missing = await browser.get(address), await browser.get(nothing)
        assert page.status_code == 404, address
        assert said_by(page, address) == said_by(missing, nothing), address
        assert "secret of" not in page.text
        assert ("Sign in with GitHub" in page.text) == (who == "nobody"), address
    async with door.store.read() as session:
        assert await session.scalar(select(func.count()).select_from(Repository)) == 1
        assert await session.scalar(select(func.count()).select_from(Grant)) == 0


async def test_those_who_may_read_it_see_all_of_it(door: Door) -> None:
    await door.sandbox.set_role(PRIVATE, login="bob", role="read")
    async with door.store.write() as session:
        session.add(
            Decision(repository_id=door.secret.id, kind="branch", ref="main", sha=SHA, cause="start", outcome="build")
        )
    browser = await door.signed_in("bob")
    pages = await pages_of(door)
    await add_session(door.store, await its_build(door))
    for address in pages:
        if "/launch/events" in address:
            continue
        page = await browser.get(address)
        assert "that you may see" not in page.text
        assert page.status_code in {200, 302} or "has ended" in page.text, address
    assert (await browser.get(f"/builds/{(await its_build(door)).id}/log")).text == "a secret of Ada's\n"


async def test_a_session_is_the_visitors_who_opened_it(door: Door) -> None:
    await door.sandbox.set_role(PRIVATE, login="bob", role="read")
    waiting = await add_session(door.store, await its_build(door))
    bob, eve = await door.signed_in("bob"), await door.signed_in("eve")
    opened = await bob.get(f"{LINK}?labpath=a.ipynb")
    assert opened.headers["location"] == f"/s/{waiting.id}/doc/tree/a.ipynb"
    row = await session_of(door.store, waiting.id)
    async with door.store.read() as session:
        assert (await session.get_one(Visitor, row.visitor_id)).login == "bob"
    for browser in (eve, door.browser()):
        page = await browser.get(f"/s/{waiting.id}/")
        assert page.status_code == 404
        assert "There is no such session." in page.text
    eve.cookies.set("binder-session", "x" * 43, path=f"/s/{waiting.id}/")
    assert (await eve.get(f"/s/{waiting.id}/")).status_code == 404
    assert waiting.token not in opened.headers["location"] + opened.text


async def test_a_ref_that_is_not_kept_live_is_asked_for_as_the_visitor(door: Door) -> None:
    await door.sandbox.set_role(PRIVATE, login="bob", role="read")
    bob = await door.signed_in("bob")
    page = await bob.get(f"/v2/gh/{PRIVATE}/no-such-branch")
    assert page.status_code == 404
    assert "no-such-branch" in page.text


async def test_what_github_granted_counts_for_some_minutes(door: Door) -> None:
    await door.sandbox.set_role(PRIVATE, login="bob", role="read")
    bob = await door.signed_in("bob")
    address = f"/builds/{(await its_build(door)).id}"
    assert (await bob.get(address)).status_code == 200
    await door.sandbox.set_role(PRIVATE, login="bob", role=None)
    await door.sandbox.add_fault("status", method="GET", path=f"/repos/{PRIVATE}", count=99)
    assert (await bob.get(address)).status_code == 200, "GitHub is not asked again yet"
    async with door.store.write() as session:
        await session.execute(update(Grant).values(asked_at=utc_now() - GRANTED_FOR))
    assert (await bob.get(address)).status_code == 503, "GitHub is asked, and does not answer"
    assert (await bob.get(f"/v2/gh/{PRIVATE}/main")).status_code == 503
    await door.sandbox.clear_faults()
    assert (await bob.get(address)).status_code == 404


async def test_github_that_does_not_answer_gives_nothing_away(door: Door) -> None:
    eve = await door.signed_in("eve")
    await door.sandbox.add_fault("status", method="GET", path="/repos/ada", count=99)
    pages = [await eve.get(f"/v2/gh/ada/{name}/main") for name in ("secret", "nothing")]
    assert [page.status_code for page in pages] == [503, 503]


async def test_access_that_may_have_been_withdrawn_is_asked_again_at_once(door: Door) -> None:
    await door.sandbox.set_role(PRIVATE, login="bob", role="read")
    bob = await door.signed_in("bob")
    address = f"/builds/{(await its_build(door)).id}"
    assert (await bob.get(address)).status_code == 200
    await door.sandbox.set_role(PRIVATE, login="bob", role=None)
    async with door.store.write() as session:
        await withdraw_access(session, Repository.id == door.secret.id)
    assert (await bob.get(address)).status_code == 404


async def test_where_the_app_is_gone_nobody_sees_it(door: Door) -> None:
    ada = await door.signed_in("ada")
    assert (await ada.get(f"/builds/{(await its_build(door)).id}")).status_code == 200
    async with door.store.write() as session:
        await session.execute(update(Repository).values(installation_id=None, access_epoch=9))
    assert (await ada.get(f"/builds/{(await its_build(door)).id}")).status_code == 404


async def test_tokens_are_renewed_before_they_end_and_a_visitor_without_is_signed_out(door: Door) -> None:
    ada = await door.signed_in("ada")
    issued = door.sandbox.world.state.user_tokens

    async def sees() -> int:
        async with door.store.write() as session:
            await withdraw_access(session, Repository.id == door.secret.id)
        return (await ada.get(f"/builds/{(await its_build(door)).id}")).status_code

    (first,) = issued
    visitors = door.visitors
    async with door.store.write() as session:
        visitor = (await session.scalars(select(Visitor))).one()
        app = visitors._there
        kept = app.seal.open(visitor.tokens or "")
        assert kept
        visitor.tokens = app.seal.seal(replace(kept, ends_at=utc_now() + timedelta(minutes=4)))
    assert await sees() == 200
    assert first not in issued, "the one before ended with the next one"
    issued.clear()
    assert await sees() == 404
    assert "You are not signed in" in (await ada.get("/sign-out")).text


class TestLimits:
    async def test_who_starts_too_much_is_asked_to_wait_and_what_waits_is_not_counted(self, door: Door) -> None:
        limited = Door(**{**vars(door), "context": replace(door.context, settings=settings_with(door, 1))})
        browser = limited.browser()
        async with door.store.write() as session:
            await session.execute(update(Repository).values(private=False))
            await session.execute(update(Build).values(state=BuildState.QUEUED))
        for _ in range(5):
            assert (await browser.get(LINK)).status_code == 200, "it only waits"
        async with door.store.write() as session:
            await session.execute(update(Build).values(state=BuildState.SUCCEEDED))
        for _ in range(2):
            await add_session(door.store, await its_build(door))
        assert (await browser.get(LINK)).status_code == 302
        refused = await browser.get(LINK)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        assert "1 builds and sessions" in refused.text

    async def test_one_repository_does_not_take_all_places(self, door: Door) -> None:
        build = await its_build(door)
        for _ in range(2):
            await add_session(door.store, build, SessionState.OPEN)
        await add_session(door.store, build)
        async with door.store.write() as session:
            await session.execute(update(Repository).values(private=False))
        settings = door.context.settings.model_copy(update={"sessions_per_repository": 2})
        browser = Door(**{**vars(door), "context": replace(door.context, settings=settings)}).browser()
        refused = await browser.get(LINK)
        assert refused.status_code == 503
        assert "2 sessions of ada/secret open" in refused.text
        async with door.store.write() as session:
            await session.execute(update(Session).where(Session.state == "open").values(state=SessionState.ENDED))
        assert (await browser.get(LINK)).status_code == 302


def settings_with(door: Door, launches: int) -> Settings:
    """Return settings that let an address start only so much in an hour."""
    return door.context.settings.model_copy(update={"launches_per_hour": launches})
