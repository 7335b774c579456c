"""How events leave: signed, in order, once, and with what can go wrong."""

import hashlib
import hmac
import time

import pytest

from githubapp.sandbox import deliveries
from githubapp.sandbox.deliveries import signature
from tests.githubapp.sandbox.conftest import SECRET, Stage


def test_githubs_own_example_of_a_signature() -> None:
    """Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation"""
    signed = signature("It's a Secret to Everybody", b"Hello, World!")
    assert signed == "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


async def test_a_delivery_is_signed_over_its_very_bytes(stage: Stage) -> None:
    await stage.push("Grüße")
    await stage.sandbox.settled()
    (received,) = stage.receiver.received
    expected = hmac.new(SECRET.encode(), received.body, hashlib.sha256).hexdigest()
    assert received.headers["x-hub-signature-256"] == f"sha256={expected}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"].startswith("GitHub-Hookshot/")
    assert received.headers["x-github-hook-installation-target-type"] == "integration"
    assert received.headers["x-github-hook-installation-target-id"] == str(stage.app.app_id)
    assert received.headers["x-github-hook-id"].isdigit()


async def test_what_came_back_is_recorded(stage: Stage) -> None:
    await stage.push("Second")
    await stage.sandbox.settled()
    newest = (await stage.sandbox.deliveries())[0]
    assert (newest.event, newest.status_code, newest.status, newest.response_body) == ("push", 202, "OK", "noted")
    assert 0 < newest.duration_seconds < 5


async def test_failures_are_recorded_and_not_tried_again(stage: Stage) -> None:
    stage.receiver.status = 503
    await stage.push("Second")
    assert await stage.heard() == ["push"]
    assert (await stage.sandbox.deliveries())[0].status_code == 503
    await stage.sandbox.set_webhook(stage.app.app_id, webhook_url="http://127.0.0.1:1/nobody")
    await stage.sandbox.settled()
    assert (await stage.sandbox.deliveries())[0].status == "failed to connect to host"


async def test_an_answer_that_is_too_late_is_none(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "DEADLINE_SECONDS", 0.2)
    stage.receiver.delay_seconds = 0.6
    await stage.push("Second")
    await stage.sandbox.settled()
    newest = (await stage.sandbox.deliveries())[0]
    assert (newest.status, newest.status_code, newest.ok) == ("timed out", 0, False)


async def test_a_lost_delivery_can_be_asked_for_again(stage: Stage) -> None:
    await stage.sandbox.add_fault("lost", event="push")
    await stage.push("Second")
    assert await stage.heard() == []
    lost = (await stage.sandbox.deliveries())[0]
    assert (lost.event, lost.ok) == ("push", False)
    await stage.sandbox.redeliver(lost.id)
    assert await stage.heard() == ["push"]
    assert stage.receiver.received[0].guid == lost.guid


async def test_a_vanished_delivery_leaves_no_trace(stage: Stage) -> None:
    before = len(await stage.sandbox.deliveries())
    await stage.sandbox.add_fault("vanished")
    await stage.push("Second")
    assert await stage.heard() == []
    assert len(await stage.sandbox.deliveries()) == before


async def test_a_delivery_comes_twice_under_one_guid(stage: Stage) -> None:
    await stage.sandbox.add_fault("twice")
    await stage.push("Second")
    assert await stage.heard() == ["push", "push"]
    assert len({received.guid for received in stage.receiver.received}) == 1


async def test_a_late_delivery_is_overtaken(stage: Stage) -> None:
    await stage.sandbox.add_fault("late", seconds=2)
    second = await stage.push("Second")
    third = await stage.push("Third")
    started = time.monotonic()
    await stage.sandbox.settled()
    assert time.monotonic() - started < 20
    assert [payload["after"] for payload in stage.receiver.of("push")] == [third, second]


async def test_two_deliveries_are_swapped(stage: Stage) -> None:
    await stage.sandbox.add_fault("swapped")
    second = await stage.push("Second")
    third = await stage.push("Third")
    fourth = await stage.push("Fourth")
    await stage.sandbox.settled()
    assert [payload["after"] for payload in stage.receiver.of("push")] == [third, second, fourth]


async def test_a_swapped_delivery_without_a_next_one_comes_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_LONGEST_HOLD_SECONDS", 0.1)
    await stage.sandbox.add_fault("swapped")
    await stage.push("Second")
    assert await stage.heard() == ["push"]


async def test_the_installation_may_be_missing(stage: Stage) -> None:
    await stage.sandbox.add_fault("without_installation")
    await stage.push("Second")
    await stage.sandbox.settled()
    (payload,) = stage.receiver.of("push")
    assert "installation" not in payload


async def test_a_full_queue_loses_what_comes_next(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage.sandbox.world.deliveries._queue, "_maxsize", 1)
    for archived in (True, False, True, False):
        await stage.sandbox.set_archived("ada/demo", archived=archived)
    await stage.sandbox.settled()
    assert "queue full" in {one.status for one in await stage.sandbox.deliveries()}


async def test_a_ping_greets_a_new_address(stage: Stage) -> None:
    await stage.sandbox.set_webhook(stage.app.app_id, webhook_url=stage.receiver.url, webhook_secret="another")
    assert await stage.heard() == ["ping"]
    received = stage.receiver.received[0]
    assert received.headers["x-hub-signature-256"] == signature("another", received.body)
    assert received.payload["hook"]["app_id"] == stage.app.app_id


async def test_a_delivery_fails_before_the_app_sees_it(stage: Stage) -> None:
    await stage.sandbox.add_fault("failed", event="push", status=504)
    await stage.push("Second")
    assert await stage.heard() == []
    failed = (await stage.sandbox.deliveries())[0]
    assert (failed.status_code, failed.status, failed.ok) == (504, "Invalid HTTP Response: 504", False)
    await stage.sandbox.redeliver(failed.id)
    assert await stage.heard() == ["push"]
