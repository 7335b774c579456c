"""The door for deliveries: every answer code, duplicates, and a store that does not answer."""

import asyncio
import sqlite3
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from starlette.applications import Starlette

from binder.lifecycle import DeliveryState
from binder.settings import Settings, read_settings
from binder.store import Store
from binder.store.tables import Delivery, utc_now
from githubapp.deliveries import LARGEST_BODY_BYTES
from githubapp.inbox import Inbox, webhook_route
from tests.githubapp import payloads
from tests.postgresql import ONLY_SQLITE

SECRET, RETIRING = "the new secret", "the old secret"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(
        state_dir=tmp_path, cache_dir=tmp_path, github_app_id=17, github_webhook_secrets=f"{SECRET},{RETIRING}"
    )


def client_of(store: Store, settings: Settings) -> httpx.AsyncClient:
    app = Starlette(routes=[webhook_route(Inbox(store, settings))])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://binder.example.org")


@pytest.fixture
async def client(store: Store, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(store, settings) as opened:
        yield opened


async def deliver(
    client: httpx.AsyncClient, event: str, payload: object, *, guid: str = "first", secret: str = SECRET, **more: str
) -> int:
    body, headers = payloads.signed(event, payload, secret, guid)
    answer = await client.post("/webhooks/github", content=body, headers={**headers, **more})
    assert answer.json()["message"]
    return answer.status_code


async def rows(store: Store) -> list[Delivery]:
    async with store.read() as session:
        return list(await session.scalars(select(Delivery).order_by(Delivery.id)))


async def set_state(store: Store, state: DeliveryState) -> None:
    async with store.write() as session:
        row = (await session.scalars(select(Delivery))).one()
        row.state, row.reason, row.attempts, row.acted_at = state, "why", 3, utc_now()


async def test_a_push_is_stored_before_it_is_answered(client: httpx.AsyncClient, store: Store) -> None:
    woken = store.arrived.subscribe()
    assert await deliver(client, "push", payloads.push(head_commit={"message": "hush"})) == 202
    (row,) = await rows(store)
    assert (row.host, row.app_id, row.guid, row.event) == ("github.com", 17, "first", "push")
    assert (row.state, row.reason, row.attempts) == (DeliveryState.STORED, None, 0)
    assert "head_commit" not in row.payload
    assert woken.is_set()


async def test_a_retiring_secret_is_good(client: httpx.AsyncClient) -> None:
    assert await deliver(client, "push", payloads.push(), secret=RETIRING) == 202


@pytest.mark.parametrize("state", [DeliveryState.STORED, DeliveryState.ACTED, DeliveryState.STALE])
async def test_a_duplicate_is_not_acted_on_again(client: httpx.AsyncClient, store: Store, state: DeliveryState) -> None:
    await deliver(client, "push", payloads.push())
    await set_state(store, state)
    assert await deliver(client, "push", payloads.push()) == 200
    (row,) = await rows(store)
    assert (row.state, row.attempts) == (state, 3)


async def test_one_that_failed_runs_again(client: httpx.AsyncClient, store: Store) -> None:
    await deliver(client, "push", payloads.push())
    await set_state(store, DeliveryState.FAILED)
    assert await deliver(client, "push", payloads.push()) == 202
    (row,) = await rows(store)
    assert (row.state, row.attempts, row.reason, row.acted_at) == (DeliveryState.STORED, 0, None, None)


async def test_the_same_one_many_times_at_once_is_stored_once(client: httpx.AsyncClient, store: Store) -> None:
    answers = await asyncio.gather(*(deliver(client, "push", payloads.push()) for _ in range(10)))
    assert sorted(answers) == [200] * 9 + [202]
    assert len(await rows(store)) == 1


async def test_two_apps_may_share_an_id(client: httpx.AsyncClient, store: Store, settings: Settings) -> None:
    await deliver(client, "push", payloads.push())
    async with client_of(store, settings.model_copy(update={"github_app_id": 18})) as other:
        assert await deliver(other, "push", payloads.push()) == 202
    assert [row.app_id for row in await rows(store)] == [17, 18]


async def test_two_hosts_may_share_an_app_and_an_id(
    client: httpx.AsyncClient, store: Store, settings: Settings
) -> None:
    await deliver(client, "push", payloads.push())
    enterprise = settings.model_copy(update={"github_url": "https://ghe.example.com"})
    async with client_of(store, enterprise) as other:
        headers = {"x-github-enterprise-host": "ghe.example.com", "x-github-enterprise-version": "3.16.0"}
        assert await deliver(other, "push", payloads.push(), **headers) == 202
    assert [row.host for row in await rows(store)] == ["github.com", "ghe.example.com"]


@pytest.mark.parametrize(
    ("event", "payload", "reason"),
    [
        ("ping", {"zen": "Keep it logically awesome.", "hook_id": 1}, "ping is not acted on"),
        ("push", payloads.push("refs/tags/v1"), "only branches are built, no tags or other refs"),
        ("pull_request", payloads.pull_request("assigned"), "pull_request.assigned is not acted on"),
    ],
)
async def test_what_is_ignored_is_answered_and_remembered_with_its_reason(
    client: httpx.AsyncClient, store: Store, event: str, payload: dict[str, Any], reason: str
) -> None:
    assert await deliver(client, event, payload) == 200
    (row,) = await rows(store)
    assert (row.state, row.reason) == (DeliveryState.IGNORED, reason)
    assert row.acted_at
    assert await deliver(client, event, payload) == 200
    assert len(await rows(store)) == 1


async def test_a_bad_signature_is_401_whatever_the_body_is(client: httpx.AsyncClient, store: Store) -> None:
    assert await deliver(client, "push", payloads.push(), secret="guessed") == 401
    assert await deliver(client, "push", b"no json", secret="guessed") == 401
    odd = {b"x-hub-signature-256": "sha256=ü".encode("latin-1"), b"content-type": b"application/json"}
    assert (await client.post("/webhooks/github", content=b"{}", headers=odd)).status_code == 401
    answer = await client.post("/webhooks/github", json=payloads.push())
    assert answer.status_code == 401
    assert await rows(store) == []


async def test_without_an_app_every_delivery_is_refused(store: Store, settings: Settings) -> None:
    async with client_of(store, settings.model_copy(update={"github_app_id": None})) as client:
        assert await deliver(client, "push", payloads.push()) == 401


@pytest.mark.parametrize(
    ("payload", "headers", "status"),
    [
        (b"{", {}, 400),
        ({"ref": "refs/heads/main"}, {}, 400),
        (payloads.push(), {"x-github-delivery": ""}, 400),
        (payloads.push(), {"x-github-event": ""}, 400),
        (payloads.push(), {"content-type": "text/plain"}, 415),
    ],
)
async def test_a_signed_body_that_is_no_delivery(
    client: httpx.AsyncClient, store: Store, payload: object, headers: dict[str, str], status: int
) -> None:
    assert await deliver(client, "push", payload, **headers) == status
    assert await rows(store) == []


async def test_the_largest_body_is_taken_and_one_byte_more_is_not(client: httpx.AsyncClient) -> None:
    start = b'{"ref": "refs/tags/v1", "after": "' + payloads.SHA.encode() + b'", "x": "'
    largest = start + b"x" * (LARGEST_BODY_BYTES - len(start) - 2) + b'"}'
    assert len(largest) == LARGEST_BODY_BYTES
    assert await deliver(client, "push", largest) == 200
    assert await deliver(client, "push", largest + b" ") == 413


async def test_a_body_of_undeclared_length_is_not_read_beyond_the_limit(client: httpx.AsyncClient) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 2**20
            yield b"x" * 2**20

    answer = await client.post("/webhooks/github", content=chunks())
    assert answer.status_code == 413
    assert sent <= LARGEST_BODY_BYTES + 2 * 2**20


async def test_a_body_that_does_not_come_is_not_waited_for(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("githubapp.inbox._READ_SECONDS", 0.05)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(10)

    assert (await client.post("/webhooks/github", content=stalled())).status_code == 408


async def test_large_bodies_leave_no_memory_behind(client: httpx.AsyncClient) -> None:
    start = b'{"ref": "refs/tags/v1", "after": "' + payloads.SHA.encode() + b'", "x": "'
    large = start + b"x" * (LARGEST_BODY_BYTES - len(start) - 2) + b'"}'
    tracemalloc.start()
    try:
        for number in range(3):
            assert await deliver(client, "push", large, guid=f"large-{number}") == 200
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < LARGEST_BODY_BYTES // 5


async def test_too_much_at_once_is_put_off(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("githubapp.inbox._HELD_BYTES", 1000)
    assert await deliver(client, "push", payloads.push(padding="x" * 2000)) == 503
    assert await deliver(client, "push", payloads.push()) == 202


@ONLY_SQLITE
async def test_a_locked_store_is_503_and_the_delivery_may_come_again(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    holder = sqlite3.connect(tmp_path / "binder.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        async with asyncio.timeout(9):  # GitHub's own limit is 10 s
            assert await deliver(client, "push", payloads.push()) == 503
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert await rows(store) == []
    assert await deliver(client, "push", payloads.push()) == 202


@ONLY_SQLITE
async def test_a_store_that_cannot_be_written_to_is_503(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    await deliver(client, "push", payloads.push(), guid="before")
    other = sqlite3.connect(tmp_path / "binder.db")
    other.execute("ALTER TABLE deliveries RENAME TO elsewhere")
    other.close()
    assert await deliver(client, "push", payloads.push()) == 503


async def test_only_post_is_answered(client: httpx.AsyncClient) -> None:
    assert (await client.get("/webhooks/github")).status_code == 405
