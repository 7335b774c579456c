"""Open sessions of private repositories: who may not read any more loses them, and their routes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from binder.lifecycle import SessionState
from binder.store.access import sign_out_everywhere, withdraw_access
from binder.store.tables import Grant, Repository, Session, Visitor, utc_now
from proxy.context import ProxyContext
from proxy.open_sessions import Opened, OpenSessions, is_kept_unconfirmed, verdict
from tests.proxy.door import PRIVATE, Door, open_door
from tests.proxy.fakes import FakeRouteTable
from tests.proxy.rows import add_build, add_preview, add_session, session_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRIVATE_ROW = Repository(id=1, private=True, access_epoch=2)


@pytest.mark.parametrize(
    ("visitor", "grant", "expected"),
    [
        (None, None, "end"),
        (Visitor(id=1, tokens=None), Grant(epoch=2, asked_at=NOW), "end"),
        (Visitor(id=1, tokens="x"), None, "ask"),
        (Visitor(id=1, tokens="x"), Grant(epoch=2, asked_at=NOW), "keep"),
        (Visitor(id=1, tokens="x"), Grant(epoch=1, asked_at=NOW), "ask"),
        (Visitor(id=1, tokens="x"), Grant(epoch=2, asked_at=NOW - timedelta(minutes=5)), "ask"),
    ],
)
def test_what_becomes_of_a_session(visitor: Visitor | None, grant: Grant | None, expected: str) -> None:
    assert verdict(Opened(Session(), PRIVATE_ROW, visitor, grant), NOW) == expected


def test_what_github_does_not_confirm_goes_on_for_a_while() -> None:
    for minutes, is_kept in ((14, True), (15, False)):
        grant = Grant(epoch=1, asked_at=NOW - timedelta(minutes=minutes))
        assert is_kept_unconfirmed(Opened(Session(), PRIVATE_ROW, None, grant), NOW) == is_kept
    assert not is_kept_unconfirmed(Opened(Session(), PRIVATE_ROW, None, None), NOW)


class Opener:
    """Bob's open session, and the loops that look after it."""

    def __init__(self, door: Door, bob: httpx.AsyncClient, session: Session) -> None:
        self.door = door
        self.bob = bob
        self.session = session
        self.loop = OpenSessions(door.context)

    async def looks(self) -> SessionState:
        """Let the loops look once."""
        await self.loop.step()
        await self.door.context.keeper.step()
        return (await session_of(self.door.store, self.session.id)).state

    async def withdraw(self) -> None:
        """Have all be asked again."""
        async with self.door.store.write() as session:
            await withdraw_access(session, Repository.id == self.door.secret.id)


@pytest.fixture
async def opener(context: ProxyContext, tmp_path: Path) -> AsyncIterator[Opener]:
    """Bob, who may read Ada's private repository, in a session of it."""
    async with open_door(context, tmp_path) as door:
        await door.sandbox.set_role(PRIVATE, login="bob", role="read")
        preview = await add_preview(door.store, door.secret, "main")
        session = await add_session(door.store, await add_build(door.store, door.secret, preview_id=preview.id))
        bob = await door.signed_in("bob")
        assert (await bob.get(f"/v2/gh/{PRIVATE}/main")).status_code == 302
        yield Opener(door, bob, session)


async def test_it_stays_while_github_says_so(opener: Opener, table: FakeRouteTable) -> None:
    await opener.withdraw()
    assert await opener.looks() is SessionState.OPEN
    assert table.routes


async def test_who_was_removed_loses_it_and_its_route(opener: Opener, table: FakeRouteTable) -> None:
    await opener.door.sandbox.set_role(PRIVATE, login="bob", role=None)
    assert await opener.looks() is SessionState.OPEN, "nothing was told yet, and minutes have not gone by"
    await opener.withdraw()
    assert await opener.looks() is SessionState.ENDED
    assert table.routes == {}


async def test_minutes_later_it_is_asked_again_without_any_event(opener: Opener) -> None:
    await opener.door.sandbox.set_role(PRIVATE, login="bob", role=None)
    async with opener.door.store.write() as session:
        await session.execute(update(Grant).values(asked_at=utc_now() - timedelta(minutes=5)))
    assert await opener.looks() is SessionState.ENDED


async def test_signing_out_in_the_last_browser_ends_it(opener: Opener, table: FakeRouteTable) -> None:
    await opener.bob.post("/sign-out")
    assert await opener.looks() is SessionState.ENDED
    assert table.routes == {}


async def test_taking_the_permission_back_at_github_ends_it(opener: Opener) -> None:
    async with opener.door.store.write() as session:
        await sign_out_everywhere(session, (await session.scalars(select(Visitor.id))).one())
    assert await opener.looks() is SessionState.ENDED


async def test_while_github_is_down_it_goes_on_for_a_while(opener: Opener) -> None:
    await opener.door.sandbox.add_fault("status", method="GET", path=f"/repos/{PRIVATE}", count=99)
    await opener.withdraw()
    assert await opener.looks() is SessionState.OPEN
    async with opener.door.store.write() as session:
        await session.execute(update(Grant).values(asked_at=utc_now() - timedelta(minutes=15)))
    assert await opener.looks() is SessionState.ENDED


async def test_sessions_of_when_it_was_public_end_where_nobody_is_known_to_have_them(opener: Opener) -> None:
    async with opener.door.store.write() as session:
        await session.execute(update(Repository).values(private=False))
        await session.execute(update(Session).values(visitor_id=None))
    assert await opener.looks() is SessionState.OPEN
    async with opener.door.store.write() as session:
        await session.execute(update(Repository).values(private=True))
    assert await opener.looks() is SessionState.ENDED
