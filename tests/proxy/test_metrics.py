"""What Prometheus is told, and who else is told nothing."""

from datetime import timedelta

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import select

from binder.lifecycle import BuildState, SessionState
from binder.store.queries import advance_session
from binder.store.tables import Session, utc_now
from proxy.context import ProxyContext
from proxy.launch_limits import LaunchLimits
from proxy.waiting import LEFT_AFTER
from tests.proxy.rows import SHA, add_build, add_repository, add_session

TOKEN = "t" * 32


@pytest.fixture
def with_token(context: ProxyContext) -> ProxyContext:
    """The pages' parts, with a token set."""
    settings = context.settings.model_copy(update={"metrics_token": SecretStr(TOKEN)})
    object.__setattr__(context, "settings", settings)
    return context


async def test_they_are_drawn_from_the_store(with_token: ProxyContext, visitor: httpx.AsyncClient) -> None:
    build = await add_build(with_token.store, await add_repository(with_token.store))
    await add_build(with_token.store, await add_repository(with_token.store, name="x"), BuildState.QUEUED)
    await add_session(with_token.store, build)
    await add_session(with_token.store, build, SessionState.OPEN)
    answer = await visitor.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    found = {
        (sample.name, sample.labels.get("state")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert found["binder_builds", "queued"] == found["binder_builds", "succeeded"] == 1
    assert found["binder_sessions", "standby"] == found["binder_sessions", "open"] == 1
    assert found["binder_sessions", "failed"] == found["binder_reports_owed", None] == 0
    assert found["binder_sessions_at_most", None] == with_token.settings.sessions_at_most
    # No repository is named; what a figure means may speak of notebooks.
    assert not [line for line in answer.text.splitlines() if "notebooks" in line and not line.startswith("#")]


async def figures_of(visitor: httpx.AsyncClient) -> dict[str, float]:
    """Return the figures as Prometheus reads them: name and labels → value."""
    answer = await visitor.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_launches_are_counted_by_how_they_end(with_token: ProxyContext, visitor: httpx.AsyncClient) -> None:
    repository = await add_repository(with_token.store)
    link = f"/v2/gh/ada/notebooks/{SHA}"
    build = await add_build(with_token.store, repository)
    await add_session(with_token.store, build)
    assert (await visitor.get(link)).status_code == 302
    visitor.cookies.clear()
    assert (await visitor.get(link)).status_code == 200  # there is no standby any more: one is started
    async with with_token.store.read() as session:
        (wanted,) = await session.scalars(select(Session).where(Session.state == SessionState.WANTED))
    async with with_token.store.write() as session:
        row = await session.get_one(Session, wanted.id)
        advance_session(row, SessionState.STARTING, utc_now())
        row.target = "127.0.0.1:1"
        advance_session(row, SessionState.STANDBY, utc_now())
    assert (await visitor.get(link)).status_code == 302
    fault = {"party": "repository", "message": "No such package."}
    await add_build(with_token.store, repository, BuildState.FAILED, sha="1" * 40, fault=fault)
    await visitor.get(f"/v2/gh/ada/notebooks/{'1' * 40}")
    found = await figures_of(visitor)
    assert found["binder_launches_total['gh', 'opened']"] == 2
    assert found["binder_launches_total['build_failed', 'gh']"] == 1
    assert found["binder_pool_claims_total['hit']"] == found["binder_pool_claims_total['miss']"] == 1


async def test_who_may_start_no_more_is_counted(with_token: ProxyContext, visitor: httpx.AsyncClient) -> None:
    object.__setattr__(with_token, "limits", LaunchLimits(1))
    await add_repository(with_token.store)
    for number, status in ((1, 200), (2, 429)):
        assert (await visitor.get(f"/v2/gh/ada/notebooks/{str(number) * 40}")).status_code == status
    assert (await figures_of(visitor))["binder_launches_total['gh', 'too_many']"] == 1


async def test_what_waits_is_told(with_token: ProxyContext, visitor: httpx.AsyncClient) -> None:
    before, now = await figures_of(visitor), utc_now()
    for name in ("binder_queue_length[]", "binder_build_queue_seconds[]", "binder_pool_claims_total['miss']"):
        assert before[name] == 0
    with_token.queue.wait("ada", "image", now, is_served=False)
    with_token.queue.wait("bob", "image", now, is_served=True)
    with_token.queue.wait("eve", "image", now - LEFT_AFTER, is_served=False)
    repository = await add_repository(with_token.store)
    for seconds in (100, 10):
        queued_at = now - timedelta(seconds=seconds)
        await add_build(with_token.store, repository, BuildState.QUEUED, sha=f"{seconds:040}", queued_at=queued_at)
    found = await figures_of(visitor)
    assert found["binder_queue_length[]"] == 1
    assert 100 <= found["binder_build_queue_seconds[]"] < 160
    assert found["binder_cache_free_bytes[]"] > 0
    assert found["process_open_fds[]"] > 0


async def test_builds_are_counted_by_how_they_end(with_token: ProxyContext, visitor: httpx.AsyncClient) -> None:
    for ended in ((4.0, "content", None), (40.0, None, "world"), (3.0, None, None)):
        with_token.figures.built(*ended)
    found = await figures_of(visitor)
    assert found["binder_build_duration_seconds_sum['content', 'made']"] == 4
    assert found["binder_build_duration_seconds_bucket['2.0', 'content', 'made']"] == 0
    assert found["binder_build_duration_seconds_bucket['5.0', 'content', 'made']"] == 1
    assert found["binder_build_duration_seconds_count['failed', 'none']"] == 1
    assert found["binder_build_duration_seconds_count['none', 'stopped']"] == 1
    assert found["binder_build_faults_total['world']"] == 1


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer x", f"Bearer {TOKEN}x", f"Basic {TOKEN}"])
async def test_to_all_others_they_do_not_exist(
    with_token: ProxyContext, visitor: httpx.AsyncClient, header: str
) -> None:
    assert (await visitor.get("/metrics", headers={"Authorization": header})).status_code == 404
    assert with_token.settings.metrics_token.get_secret_value() == TOKEN


async def test_without_a_token_nobody_gets_them(visitor: httpx.AsyncClient) -> None:
    for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer "}):
        assert (await visitor.get("/metrics", headers=headers)).status_code == 404
