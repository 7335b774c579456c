"""Requests to a registry: tried again, kept from other hosts, and refused in words that help."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from binder.errors import OperatorFault, WorldFault
from build.registries import blobs, http
from build.registries.oci import (
    digest_of_bytes,
)
from build.registries.registry import Registry
from tests.build.registry_servers import (
    ARTIFACT,
    SECRET,
    USERNAME,
    RunningRegistry,
    opened,
    put,
    running_registry,
)
from tests.build.wires import Break, broken_wire

BASE = "https://registry.example.org/v2/x"
BASIC = {"WWW-Authenticate": 'Basic realm="r"'}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry that lets everybody in."""
    with running_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def safe_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry that wants a password, over TLS."""
    with running_registry(tmp_path_factory.mktemp("registry"), password=True, tls=True) as server:
        yield server


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_PAUSES_SECONDS", (0.01, 0.02, 0.03))
    monkeypatch.setattr(blobs, "_PAUSE_SECONDS", 0.01)


@pytest.fixture
async def remote() -> AsyncIterator[Registry]:
    """A repository of a registry that is driven by the test."""
    who = {"username": USERNAME, "password": SECRET}
    async with opened("registry.example.org", "x", plain_http=False, **who) as registry:
        yield registry


@pytest.mark.parametrize("kind", ["cut", "lost", "503"])
@pytest.mark.parametrize("method", ["HEAD", "GET", "POST", "PUT"])
async def test_what_failed_once_is_done_again(server: RunningRegistry, method: str, kind: Any) -> None:
    async with broken_wire(server.host, Break(method, kind)) as wire, opened(wire.host) as registry:
        await registry.put_artifact(f"{method}-{kind}", os.urandom(50), ARTIFACT)
        document = await registry.artifact(f"{method}-{kind}")
        assert wire.breaks == []
        assert document
        assert len(document) == 50


async def test_a_registry_that_stays_in_trouble_is_the_worlds(server: RunningRegistry) -> None:
    breaks = [Break("GET", "503", number) for number in (1, 1, 1, 1)]
    async with broken_wire(server.host, *breaks) as wire, opened(wire.host) as registry:
        with pytest.raises(WorldFault, match="503"):
            await registry.manifest("any")
        assert wire.breaks == []


async def test_a_registry_that_is_not_there_is_the_worlds() -> None:
    async with opened("127.0.0.1:1") as registry:
        with pytest.raises(WorldFault, match="does not answer"):
            await registry.manifest("any")


async def test_a_certificate_that_is_not_trusted_names_its_setting(
    safe_server: RunningRegistry, tmp_path: Path
) -> None:
    async with opened(safe_server.host, plain_http=False) as registry:
        with pytest.raises(OperatorFault, match="BINDER_REGISTRY_CERTIFICATES"):
            await registry.tags()
    (tmp_path / "certificates.pem").write_text("none")
    for path in (tmp_path / "certificates.pem", tmp_path / "missing.pem"):
        with pytest.raises(OperatorFault, match="BINDER_REGISTRY_CERTIFICATES"):
            Registry(f"{safe_server.host}/binder", certificates=path)


async def test_https_is_what_is_spoken_unless_it_is_switched_off(server: RunningRegistry) -> None:
    async with opened(server.host, plain_http=False) as registry:
        with pytest.raises(OperatorFault, match="BINDER_REGISTRY_PLAIN_HTTP"):
            await registry.tags()


@respx.mock
async def test_blobs_may_be_elsewhere_but_the_password_does_not_go_there(remote: Registry) -> None:
    digest = digest_of_bytes(b"data")
    here = respx.get(f"{BASE}/blobs/{digest}")
    here.side_effect = [
        httpx.Response(401, headers=BASIC),
        httpx.Response(307, headers={"Location": "//cdn.example.org/b?s=%2F"}),
    ]
    there = respx.get("https://cdn.example.org/b?s=%2F").respond(content=b"data")
    assert await remote.blob(digest) == b"data"
    assert "Authorization" in here.calls[1].request.headers
    assert "Authorization" not in there.calls[0].request.headers


@respx.mock
@pytest.mark.parametrize(
    ("location", "fault"),
    [
        ("http://registry.example.org/b", OperatorFault),
        (f"{BASE}/blobs/again", WorldFault),
        ("https://x:port/", WorldFault),
    ],
)
async def test_redirections_end_and_stay_with_https(remote: Registry, location: str, fault: type[Exception]) -> None:
    respx.get(url__startswith=BASE).respond(307, headers={"Location": location})
    plain = respx.get(url__startswith="http://").respond(content=b"data")
    with pytest.raises(fault):
        await remote.blob(digest_of_bytes(b"data"))
    assert not plain.called


@respx.mock
async def test_nothing_is_sent_to_where_an_answer_to_a_write_points(remote: Registry) -> None:
    respx.put(f"{BASE}/manifests/t").respond(307, headers={"Location": "https://other.example.org/"})
    with pytest.raises(WorldFault, match="307"):
        await remote.put_manifest("t", b"{}")


@respx.mock
async def test_an_upload_to_another_host_goes_without_the_password(remote: Registry) -> None:
    digest = digest_of_bytes(b"data")
    respx.head(f"{BASE}/blobs/{digest}").side_effect = [httpx.Response(401, headers=BASIC), httpx.Response(404)]
    start = respx.post(f"{BASE}/blobs/uploads/")
    start.respond(202, headers={"Location": "https://store.example.org/u?a=1"})
    put_there = respx.put(f"https://store.example.org/u?a=1&digest={digest}").respond(201)
    assert await put(remote, b"data") == 4
    assert "Authorization" in start.calls[0].request.headers
    assert "Authorization" not in put_there.calls[0].request.headers


@respx.mock
async def test_a_registry_that_asks_for_patience_gets_it(remote: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_LONGEST_PAUSE_SECONDS", 0.01)
    asked = respx.head(f"{BASE}/manifests/t")
    asked.side_effect = [
        httpx.Response(429, headers={"Retry-After": "3600"}),
        httpx.Response(200, headers={"Docker-Content-Digest": digest_of_bytes(b"x")}),
    ]
    assert await remote.digest("t") == digest_of_bytes(b"x")


@respx.mock
@pytest.mark.parametrize(
    ("status", "text"), [(405, "delete.enabled"), (413, "16 MiB"), (403, "PASSWORD"), (418, "418")]
)
async def test_a_refusal_says_what_to_do(remote: Registry, status: int, text: str) -> None:
    respx.delete(url__startswith=BASE).respond(status, json={"errors": [{"code": "<script>"}]})
    with pytest.raises((OperatorFault, WorldFault), match=text) as raised:
        await remote.delete_manifest(digest_of_bytes(b"x"))
    assert "<" not in str(raised.value)
