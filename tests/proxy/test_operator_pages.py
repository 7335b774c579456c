"""The operator's page, asked for by an operator, by others who are signed in, and by anybody."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.store.tables import Delivery, Report, utc_now
from proxy.context import ProxyContext
from proxy.operator_facts import MOST_FAILURES, overview_of
from proxy.operator_pages import disk_of
from tests.proxy.door import Door, open_door
from tests.proxy.outline import outline
from tests.proxy.rows import SHA, add_build, add_repository, add_session


@pytest.fixture
async def door(context: ProxyContext, tmp_path: Path) -> AsyncIterator[Door]:
    """A service whose operator is Ada."""
    async with open_door(context, tmp_path) as opened:
        settings = opened.context.settings.model_copy(update={"operators": ["Ada"]})
        yield replace(opened, context=replace(opened.context, settings=settings))


async def test_an_operator_sees_what_runs_and_what_failed(door: Door) -> None:
    ada, now = await door.signed_in("ada"), utc_now()
    empty = await ada.get("/operator")
    outline(empty)
    assert "No session runs." in empty.text
    fault = {"party": "repository", "message": "No <numpyy>.", "file": None, "line": None, "step": None}
    failed = await add_build(door.store, door.secret, BuildState.FAILED, fault=fault, finished_at=now)
    good = await add_build(door.store, door.secret)
    queued = await add_build(door.store, door.secret, BuildState.QUEUED, queued_at=now - timedelta(minutes=3))
    sessions = [
        await add_session(door.store, good),
        await add_session(door.store, good, SessionState.OPEN, opened_at=now - timedelta(hours=3)),
        await add_session(door.store, good, SessionState.FAILED, reason="No <kernel>.", ended_at=now),
        await add_session(door.store, good, SessionState.ENDED, ended_at=now),
    ]
    async with door.store.write() as session:
        values = {"repository_id": door.secret.id, "wanted": {}, "owed": False}
        session.add(Report(kind="status", subject=SHA, reason="GitHub refused.", **values))
        session.add(Report(kind="check", subject=SHA, **values))
        stored = {"host": "github.com", "app_id": 1, "event": "push", "payload": {"p": "of-the-payload"}}
        session.add(Delivery(guid="guid-1", state=DeliveryState.FAILED, reason="Broken.", **stored))
        session.add(Delivery(guid="guid-2", **stored))
    page = await ada.get("/operator")
    outline(page)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    for said in (
        "<dt>Places</dt><dd>2 of 5 taken</dd>",
        "<dt>Pool</dt><dd>1 of at most 10 standbys</dd>",
        "<dt>Sessions</dt><dd>0 wanted, 0 starting, 1 standby, 1 open</dd>",
        f'<a href="/builds/{good.id}">open {sessions[1].id}</a> <span class="kind">ada/secret</span>',
        "3 h 0 min ago",
        "<li>No &lt;kernel&gt;.</li>",
        f'<a href="/builds/{queued.id}">queued build {queued.id}</a>',
        f'<a href="/builds/{failed.id}">build {failed.id}</a>',
        "<li>repository: No &lt;numpyy&gt;.</li>",
        "status of 0123456789",
        "<li>GitHub refused.</li>",
        "push guid-1",
        "<li>Broken.</li>",
        "1 deliveries to act on, 0 reports owed",
    ):
        assert said in page.text
    for kept in (*(row.token for row in sessions), "of-the-payload", "guid-2", "check of", sessions[3].id):
        assert kept not in page.text


async def test_to_all_others_there_is_no_such_page(door: Door) -> None:
    for browser in (await door.signed_in("bob"), door.browser()):
        page = await browser.get("/operator")
        outline(page)
        assert page.status_code == 404
        assert "There is nothing at this address that you may see." in page.text
        assert "Places" not in page.text


async def test_of_many_failures_the_newest_are_told(context: ProxyContext) -> None:
    repository = await add_repository(context.store)
    builds = [await add_build(context.store, repository, BuildState.FAILED) for _ in range(MOST_FAILURES + 1)]
    async with context.store.read() as session:
        told = (await overview_of(session)).failed_builds
    assert [entry.address for entry in told] == [f"/builds/{build.id}" for build in reversed(builds[1:])]


def test_a_disk_is_short_below_its_reserve(tmp_path: Path) -> None:
    assert not disk_of("Cache", tmp_path, 0).is_short
    assert disk_of("Cache", tmp_path, 2**62).is_short
