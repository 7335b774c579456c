"""Which routes there should be, and that a table comes to hold them: one in memory, and HAProxy's own."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import OperatorFault
from binder.lifecycle import SessionState
from binder.names import new_session_id, new_token
from binder.paths import Paths
from binder.settings import Settings
from binder.store import Store
from binder.store.queries import advance_session
from binder.store.tables import Session, utc_now
from proxy.haproxy import run_haproxy
from proxy.routes import RouteKeeper, RouteTable, difference, route_of, routes_wanted, used_since
from proxy.runtime import RuntimeApi
from tests.proxy.fakes import FakeRouteTable
from tests.proxy.rows import add_build, add_repository, add_session, columns_of, session_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TABLES = st.dictionaries(st.text("abc", min_size=1, max_size=2), st.text("123", min_size=1, max_size=2))


def session_row(state: SessionState = SessionState.OPEN, target: str | None = "10.0.0.2:8888") -> Session:
    """Return a session that is not in any store."""
    return Session(id=new_session_id(), token=new_token(), state=state, target=target)


class TestRoutesWanted:
    def test_each_open_session_has_one(self) -> None:
        one, two = session_row(), session_row()
        assert routes_wanted(columns_of(one, two)) == {
            f"{one.id}/{one.token}": "10.0.0.2:8888",
            f"{two.id}/{two.token}": "10.0.0.2:8888",
        }

    @pytest.mark.parametrize("state", sorted(set(SessionState) - {SessionState.OPEN}))
    def test_no_other_session_has(self, state: SessionState) -> None:
        assert route_of(session_row(state)) is None

    @pytest.mark.parametrize("target", ["10.0.0.2:8888", "[fd00::2]:8888", "[::ffff:10.0.0.2]:8888"])
    def test_pods_have_addresses_of_either_kind(self, target: str) -> None:
        assert route_of(session_row(target=target))

    @pytest.mark.parametrize(
        "target",
        [None, "", "localhost:80", "10.0.0.2", "10.0.0.2:80 x", "10.0.0.2:80\nadd map", "fd00::2:80", "[x]:80"],
    )
    def test_an_address_that_is_none_routes_nothing(self, target: str | None) -> None:
        assert route_of(session_row(target=target)) is None


class TestDifference:
    @given(wanted=TABLES, observed=TABLES)
    def test_it_makes_the_observed_table_the_wanted_one(self, wanted: dict[str, str], observed: dict[str, str]) -> None:
        change = difference(wanted, observed)
        made = {key: target for key, target in observed.items() if key not in change.to_delete} | dict(change.to_set)
        assert made == wanted

    @given(table=TABLES)
    def test_nothing_to_do_is_nothing(self, table: dict[str, str]) -> None:
        change = difference(table, table)
        assert (change.to_set, change.to_delete) == ({}, frozenset())


class TestUsedSince:
    def test_it_is_what_the_table_saw_later_than_the_store(self) -> None:
        known = {"a": NOW - timedelta(minutes=5), "b": NOW, "c": None, "d": NOW}
        idle = {"a": 30.0, "b": 2.0, "c": 60.0, "unknown": 1.0}
        assert used_since(known, idle, NOW) == {
            "a": NOW - timedelta(seconds=30),
            "c": NOW - timedelta(seconds=60),
        }


async def no_routes() -> dict[str, str]:
    """Return an empty table."""
    return {}


@pytest.fixture(params=["fake", pytest.param("haproxy", marks=pytest.mark.slow)])
async def any_table(request: pytest.FixtureRequest, settings: Settings, paths: Paths) -> AsyncIterator[RouteTable]:
    """A table in memory, and that of a running HAProxy."""
    if request.param == "fake":
        yield FakeRouteTable()
        return

    async with run_haproxy(settings, paths, no_routes) as haproxy:
        yield haproxy.runtime


class TestAnyTable:
    async def test_it_keeps_what_it_is_told(self, any_table: RouteTable) -> None:
        assert await any_table.show_routes() == {}
        await any_table.set_routes({"s1/t": "10.0.0.1:1"})
        await any_table.set_routes({"s2/t": "10.0.0.2:2"})
        await any_table.set_routes({"s1/t": "10.0.0.3:3"})
        assert await any_table.show_routes() == {"s1/t": "10.0.0.3:3", "s2/t": "10.0.0.2:2"}
        await any_table.del_routes(["s1/t"])
        assert await any_table.show_routes() == {"s2/t": "10.0.0.2:2"}

    async def test_many_change_at_once(self, any_table: RouteTable) -> None:
        many = {f"s{number}/t": f"10.0.{number // 250}.{number % 250}:1" for number in range(2000)}
        half = dict(list(many.items())[::2])
        await any_table.set_routes(half)
        await any_table.set_routes(many | {"s0/t": "10.9.9.9:9"})
        assert await any_table.show_routes() == many | {"s0/t": "10.9.9.9:9"}
        await any_table.del_routes(half)
        assert await any_table.show_routes() == {key: many[key] for key in many.keys() - half.keys()}

    async def test_a_route_that_is_not_there_can_be_taken_away(self, any_table: RouteTable) -> None:
        await any_table.del_routes(["s1/t"])
        assert await any_table.show_routes() == {}

    async def test_a_session_that_was_never_used_has_no_idle_time(self, any_table: RouteTable) -> None:
        await any_table.set_routes({"s1/t": "10.0.0.1:1"})
        assert await any_table.idle_seconds() == {}

    async def test_a_keeper_makes_it_hold_what_is_open(self, any_table: RouteTable, store: Store) -> None:
        build = await add_build(store, await add_repository(store))
        one, two = [await add_session(store, build, SessionState.OPEN) for _ in range(2)]
        await add_session(store, build, SessionState.STANDBY)
        await any_table.set_routes({"sforgotten/t": "10.0.0.1:1"})
        keeper = RouteKeeper(store, any_table)
        assert await keeper.step()
        assert await any_table.show_routes() == routes_wanted(columns_of(one, two))
        assert not await keeper.step()
        async with store.write() as session:
            advance_session(await session.get_one(Session, one.id), SessionState.ENDED, utc_now())
        assert await keeper.step()
        assert await any_table.show_routes() == routes_wanted(columns_of(two))


@pytest.mark.slow
class TestRefusals:
    async def test_what_haproxy_refuses_is_told_without_the_token(self, settings: Settings, paths: Paths) -> None:
        async with run_haproxy(settings, paths, no_routes) as haproxy:
            with pytest.raises(OperatorFault, match="refused `set map`") as refused:
                await haproxy.runtime.set_routes({"s1/good": "10.0.0.1:1", "s2/secret": "", "s3/good": "10.0.0.3:3"})
            assert "secret" not in refused.value.message

    async def test_a_socket_that_nobody_answers_is_told(self, paths: Paths) -> None:
        with pytest.raises(OperatorFault, match="does not answer"):
            await RuntimeApi(paths.run / "nobody.sock").set_routes({"s1/t": "10.0.0.1:1"})


class TestRouteKeeper:
    async def test_a_route_can_be_opened_at_once(self, store: Store, table: FakeRouteTable) -> None:
        row = session_row()
        await RouteKeeper(store, table).ensure_route(row)
        assert table.routes == {f"{row.id}/{row.token}": "10.0.0.2:8888"}

    async def test_a_session_without_an_address_is_the_operators_fault(
        self, store: Store, table: FakeRouteTable
    ) -> None:
        with pytest.raises(OperatorFault):
            await RouteKeeper(store, table).ensure_route(session_row(target=None))

    async def test_activity_reaches_the_store(self, store: Store, table: FakeRouteTable) -> None:
        build = await add_build(store, await add_repository(store))
        old = utc_now() - timedelta(minutes=20)
        used = await add_session(store, build, SessionState.OPEN, activity_at=old)
        idle = await add_session(store, build, SessionState.OPEN, activity_at=old)
        table.idle = {used.id: 10.0, idle.id: 3000.0}
        await RouteKeeper(store, table).step()
        at = (await session_of(store, used.id)).activity_at
        assert at is not None
        assert abs(utc_now() - timedelta(seconds=10) - at) < timedelta(seconds=5)
        assert (await session_of(store, idle.id)).activity_at == old
