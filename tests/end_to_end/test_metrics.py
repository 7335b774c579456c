"""What Prometheus is told by a service that has built a commit and given a visitor a session."""

import asyncio
import json
from collections.abc import Callable, Mapping
from time import monotonic

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from binder.cli.visit import open_link
from tests.monitoring_document import names_in, queries
from tests.stage import METRICS_TOKEN, NOTEBOOK, REPOSITORY, Stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]

_SECONDS = 60
_STAGES = (
    "binder_deliveries_received_total{outcome=stored}",
    "binder_delivery_store_duration_seconds_count{}",
    "binder_delivery_act_duration_seconds_count{state=acted}",
    "binder_build_wait_duration_seconds_count{}",
    "binder_build_phase_duration_seconds_count{phase=fetch}",
    "binder_build_check_duration_seconds_count{}",
    "binder_commit_duration_seconds_count{outcome=succeeded}",
    "binder_session_start_duration_seconds_count{outcome=ready}",
    "binder_session_standby_duration_seconds_count{}",
    "binder_launches_total{outcome=opened,provider=gh}",
    "binder_pool_claims_total{result=hit}",
    "binder_launch_duration_seconds_count{result=hit}",
    "binder_reports_total{kind=status,outcome=sent}",
    "binder_garbage_run_timestamp_seconds{}",
)


async def _told(stage: Stage) -> Mapping[str, float]:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {METRICS_TOKEN}"}) as client:
        answer = await client.get(f"{stage.url}/metrics")
    assert answer.status_code == 200
    assert REPOSITORY.partition("/")[2] not in answer.text
    return {
        f"{one.name}{{{','.join(f'{name}={value}' for name, value in sorted(one.labels.items()))}}}": one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }


async def _until(stage: Stage, is_so: Callable[[Mapping[str, float]], bool]) -> Mapping[str, float]:
    deadline = monotonic() + _SECONDS
    while True:
        told = await _told(stage)
        if is_so(told) or monotonic() > deadline:
            return told
        await asyncio.sleep(0.5)


async def test_each_stage_of_a_push_and_a_click_is_measured(stage: Stage) -> None:
    before = await _told(stage)
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", "6 * 13")})
    assert (await stage.final_status(sha)).state == "success"
    await open_link(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}", timeout_seconds=60)
    grown = [name for name in _STAGES if not name.startswith("binder_garbage")]
    told = await _until(stage, lambda now: all(now[name] > before[name] for name in grown))
    assert [name for name in grown if told[name] <= before[name]] == []
    assert [name for name in _STAGES if told[name] <= 0] == []
    assert told["binder_delivery_queue_seconds{}"] == 0
    assert told["binder_github_allowance_ratio{}"] > 0.5


async def test_dashboard_and_alerts_ask_for_what_a_service_tells(stage: Stage) -> None:
    names = {name.partition("{")[0] for name in await _told(stage)}
    asked = frozenset[str]().union(*(names_in(query) for _, query in queries()))
    assert asked - names == set()


async def test_the_lines_of_a_push_are_found_by_its_ids(stage: Stage) -> None:
    sha = await stage.push({"index.ipynb": NOTEBOOK.replace("6 * 7", "6 * 14")})
    assert (await stage.final_status(sha)).state == "success"
    ((build,),) = stage.rows(f"select id from builds where sha = '{sha}'")
    query = f"select guid from deliveries join decisions on deliveries.id = delivery_id where sha = '{sha}'"
    ((delivery,),) = stage.rows(query)
    session = (await stage.until(f"select id from sessions where build_id = {build} and ready_at is not null"))[0][0]
    lines = [json.loads(line) for line in stage.service_log.read_text(encoding="utf-8").splitlines() if line[0] == "{"]
    of = {
        name: {line["event"] for line in lines if line.get(name) == wanted}
        for name, wanted in {"delivery": delivery, "build": build, "session": session}.items()
    }
    assert of["delivery"] >= {"delivery_received", "delivery_acted_on"}
    assert of["build"] >= {"build_started", "build_made", "session_started"}
    assert of["session"] >= {"session_started"}
    assert {line["commit"] for line in lines if line.get("build") == build and "commit" in line} == {sha}
