"""What Prometheus is told, and who else is told nothing."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from binder.lifecycle import BuildState, SessionState
from proxy.context import ProxyContext
from tests.proxy.rows import add_build, add_repository, add_session

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
    assert "notebooks" not in answer.text


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer x", f"Bearer {TOKEN}x", f"Basic {TOKEN}"])
async def test_to_all_others_they_do_not_exist(
    with_token: ProxyContext, visitor: httpx.AsyncClient, header: str
) -> None:
    assert (await visitor.get("/metrics", headers={"Authorization": header})).status_code == 404
    assert with_token.settings.metrics_token.get_secret_value() == TOKEN


async def test_without_a_token_nobody_gets_them(visitor: httpx.AsyncClient) -> None:
    for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer "}):
        assert (await visitor.get("/metrics", headers=headers)).status_code == 404
